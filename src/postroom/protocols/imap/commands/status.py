"""STATUS: counts of a folder without selecting it (RFC 3501 §6.3.10; SIZE of RFC 8438, APPENDLIMIT of RFC 7889, DELETED of RFC 9208)."""

from collections.abc import Iterable, Sequence

from postroom.mailbox import items
from postroom.mailbox.folders import Folder
from postroom.model import search
from postroom.model.flags import Flag
from postroom.protocols.imap import places
from postroom.protocols.imap.commands.enable import use_condstore
from postroom.protocols.imap.grammar import answers, sets
from postroom.protocols.imap.grammar.commands import Status
from postroom.protocols.imap.places import Origin
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Look, Read, Steps
from postroom.storage.engine import Tx

Counted = dict[int, dict[bytes, int]]
"""What no folder's row says and has to be counted, by the folder's id."""
_DELETED = frozenset({b"DELETED", b"DELETED-STORAGE"})


def status(session: Session, command: Status) -> Steps:
    """Give the counts asked for."""
    read = Read if _DELETED.intersection(command.items) else Look
    name, folder, counted = yield read(_look, session.origin, command.mailbox, command.items)
    if b"HIGHESTMODSEQ" in command.items:
        yield use_condstore(session)
    yield line(session, name, folder, command.items, counted)
    return answers.ok(b"STATUS completed.")


def _look(tx: Tx, origin: Origin, name: str, wanted: Sequence[bytes]) -> tuple[str, Folder, Counted]:
    place = places.find(tx, origin, name)
    folder = place.folder(tx)
    return place.name(folder), folder, count(tx, [folder], wanted)


def count(tx: Tx, given: Iterable[Folder], wanted: Iterable[bytes]) -> Counted:
    """Count in each folder what is wanted and has to be counted."""
    recent, deleted = b"RECENT" in wanted, not _DELETED.isdisjoint(wanted)
    return {folder.id: (_recent(tx, folder) if recent else {}) | (_deleted(tx, folder) if deleted else {}) for folder in given}


def _recent(tx: Tx, folder: Folder) -> dict[bytes, int]:
    """Count the messages no session has claimed as \\Recent."""
    if folder.recent_from >= folder.uidnext:
        return {b"RECENT": 0}
    return {b"RECENT": len(items.rows(tx, folder.id, [(folder.recent_from, folder.uidnext)], ("uid",)))}


def _deleted(tx: Tx, folder: Folder) -> dict[bytes, int]:
    """Count the messages that EXPUNGE would remove, and the units of 1,024 octets it would free (RFC 9208 §5.1)."""
    uids = items.search(tx, folder.id, search.HasFlags(int(Flag.DELETED)))
    size = sum(size for (size,) in items.rows(tx, folder.id, sets.ranges(uids), ("size",)))
    return {b"DELETED": len(uids), b"DELETED-STORAGE": -(-size // 1024)}


def line(session: Session, name: str, folder: Folder, wanted: Iterable[bytes], counted: Counted) -> bytes:
    """Write a STATUS answer."""
    values = {
        b"MESSAGES": folder.total,
        b"UIDNEXT": folder.uidnext,
        b"UIDVALIDITY": folder.uidvalidity,
        b"UNSEEN": folder.unseen,
        b"HIGHESTMODSEQ": folder.modseq,
        b"SIZE": folder.size,
        b"APPENDLIMIT": session.settings.maximum_message,
    } | counted[folder.id]
    counts = b" ".join(b"%b %d" % (item, values[item]) for item in wanted)
    return b"* STATUS %b (%b)\r\n" % (answers.mailbox(name), counts)
