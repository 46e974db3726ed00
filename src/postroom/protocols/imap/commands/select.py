"""SELECT, EXAMINE, CLOSE and UNSELECT: enter a folder and leave it (RFC 3501 §6.3.1, §6.3.2, §6.4.2; RFC 3691)."""

from array import array

from postroom.mailbox import folders, items, keywords
from postroom.mailbox.folders import Folder
from postroom.protocols.imap import places
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Close, Select, Unselect
from postroom.protocols.imap.places import Origin, Place
from postroom.protocols.imap.session import Selected, Session
from postroom.protocols.imap.steps import Follow, Read, Steps, Write
from postroom.protocols.imap.view import Remembered
from postroom.storage.engine import Tx

_Found = tuple[Place, Folder, "array[int]", dict[int, str], int | None]


def select(session: Session, command: Select) -> Steps:
    """Enter a folder; the one selected before is left even if this fails."""
    out = b"* OK [CLOSED] The mailbox before is closed.\r\n" if session.selected else b""
    session.leave_folder()
    if out:
        yield out
    session.condstore |= command.condstore
    found: _Found = yield Read(_look, session.origin, command.mailbox, session.views)
    place, folder, uids, names, first_unseen = found
    session.views.keep(place.mailbox.scope, folder.id, folder.modseq, uids)
    selected = Selected(place.mailbox, folder, uids, names, read_only=command.examine, condstore=session.condstore)
    if folder.recent_from < folder.uidnext:
        first, until = (folder.recent_from, folder.uidnext) if command.examine else (yield Write(folders.claim_recent, folder))
        selected.claim(first, until)
    session.selected = selected
    session.stale = True
    if place.prefix:
        yield Follow(place.mailbox)
    else:
        session.mailbox = place.mailbox
    yield _lines(selected, first_unseen)
    if command.examine:
        return answers.ok(b"EXAMINE completed.", b"READ-ONLY")
    return answers.ok(b"SELECT completed.", b"READ-WRITE")


def _look(tx: Tx, origin: Origin, name: str, views: Remembered) -> _Found:
    """Open the mailbox, be it again, and read the folder."""
    place = places.enter(tx, origin, name)
    folder, mailbox = place.folder(tx), place.mailbox
    unseen = items.first_unseen(tx, folder.id) if folder.unseen else None
    uids = views.find(mailbox.scope, folder.id, folder.modseq)
    if uids is None:
        uids = array("I", items.uids(tx, folder.id))
    return place, folder, uids, keywords.names(tx, mailbox), unseen


def _lines(selected: Selected, first_unseen: int | None) -> bytes:
    folder = selected.folder
    unseen = b"" if first_unseen is None else b"* OK [UNSEEN %d] First unseen.\r\n" % (selected.view.position(first_unseen) + 1)
    return (
        selected.flag_lines()
        + b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(selected.view), selected.recent_count())
        + unseen
        + b"* OK [UIDVALIDITY %d] UIDs valid.\r\n* OK [UIDNEXT %d] Next UID.\r\n" % (folder.uidvalidity, folder.uidnext)
        + b"* OK [HIGHESTMODSEQ %d] Highest.\r\n" % folder.modseq
    )


def close(session: Session, command: Close) -> Steps:
    """Leave the folder; what is \\Deleted goes, without a word, unless it was only examined."""
    selected = session.open
    if not selected.read_only:
        yield Write(items.expunge, selected.mailbox, selected.folder.id)
    session.leave_folder()
    return answers.ok(b"CLOSE completed.")


def unselect(session: Session, command: Unselect) -> Steps:
    """Leave the folder as it is."""
    yield from ()
    session.leave_folder()
    return answers.ok(b"UNSELECT completed.")
