"""COPY and MOVE: messages to another folder (RFC 3501 §6.4.7, RFC 6851; COPYUID RFC 4315 §3)."""

from postroom.mailbox import items
from postroom.mailbox.items import Copied, Ranges
from postroom.model import errors
from postroom.protocols.imap import places, updates
from postroom.protocols.imap.errors import try_create
from postroom.protocols.imap.grammar import answers, sets
from postroom.protocols.imap.grammar.commands import Copy, Move
from postroom.protocols.imap.places import Origin
from postroom.protocols.imap.session import Selected, Session
from postroom.protocols.imap.steps import Steps, Write
from postroom.storage.engine import Tx


def copy(session: Session, command: Copy) -> Steps:
    """Copy messages, all or none."""
    selected = session.open
    slices = selected.view.resolve(command.numbers, command.uid)
    if not slices:
        return answers.ok(b"COPY completed, nothing to copy.")
    ranges = selected.view.ranges(slices)
    try:
        folder, copied = yield Write(_copy, session.origin, selected, ranges, command.mailbox)
    except errors.FolderNotFound as error:
        return try_create(error)
    session.changed(folder)
    return answers.ok(b"COPY completed.", _code(copied))


def _copy(tx: Tx, origin: Origin, selected: Selected, ranges: Ranges, name: str) -> tuple[int, Copied]:
    target = places.find(tx, origin, name)
    folder = target.folder(tx).id
    return folder, items.copy(tx, selected.mailbox, selected.folder.id, ranges, target.mailbox, folder)


def move(session: Session, command: Move) -> Steps:
    """Move messages, all or none; they are told as expunged from here."""
    selected = session.open
    if selected.read_only:
        return answers.no(b"The mailbox is selected read-only.", b"NOPERM")
    slices = selected.view.resolve(command.numbers, command.uid)
    if not slices:
        return answers.ok(b"MOVE completed, nothing to move.")
    ranges = selected.view.ranges(slices)
    try:
        moved, caught = yield Write(updates.aloud, selected, _move, session.origin, selected, ranges, command.mailbox)
    except errors.FolderNotFound as error:
        return try_create(error)
    if moved.pairs:
        yield b"* OK [%b] Moved.\r\n" % _code(moved)
    yield (yield from updates.tell(selected, caught, expunges=True))
    code = b"HIGHESTMODSEQ %d" % selected.modseq if selected.condstore else b""
    return answers.ok(b"MOVE completed.", code)


def _move(tx: Tx, origin: Origin, selected: Selected, ranges: Ranges, name: str) -> Copied:
    target = places.find(tx, origin, name)
    return items.move(tx, selected.mailbox, selected.folder.id, ranges, target.mailbox, target.folder(tx).id)


def _code(copied: Copied) -> bytes:
    if not copied.pairs:
        return b""
    old, new = zip(*copied.pairs, strict=True)
    return b"COPYUID %d %b %b" % (copied.uidvalidity, sets.render(old), sets.render(new))
