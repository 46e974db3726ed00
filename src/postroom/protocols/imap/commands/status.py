"""STATUS: counts of a folder without selecting it (RFC 3501 §6.3.10; SIZE of RFC 8438, APPENDLIMIT of RFC 7889)."""

from collections.abc import Iterable

from postroom.mailbox import folders, items
from postroom.mailbox.access import Mailbox
from postroom.mailbox.folders import Folder
from postroom.protocols.imap.commands.enable import use_condstore
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Status
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Look, Steps
from postroom.storage.engine import Tx

Recent = dict[int, int]
"""How many \\Recent messages a folder has, by its id."""


def status(session: Session, command: Status) -> Steps:
    """Give the counts asked for."""
    folder, recent = yield Look(_look, session.own, command.mailbox, b"RECENT" in command.items)
    if b"HIGHESTMODSEQ" in command.items:
        yield use_condstore(session)
    yield line(session, folder, command.items, recent)
    return answers.ok(b"STATUS completed.")


def _look(tx: Tx, mailbox: Mailbox, path: str, recent: bool) -> tuple[Folder, Recent]:
    folder = folders.get(tx, mailbox, path)
    return folder, count_recent(tx, [folder]) if recent else {}


def count_recent(tx: Tx, given: Iterable[Folder]) -> Recent:
    """Count the messages no session has claimed as \\Recent."""
    return {
        folder.id: len(items.rows(tx, folder.id, [(folder.recent_from, folder.uidnext)], ("uid",)))
        for folder in given
        if folder.recent_from < folder.uidnext
    }


def line(session: Session, folder: Folder, wanted: Iterable[bytes], recent: Recent) -> bytes:
    """Write a STATUS answer."""
    values = {
        b"MESSAGES": folder.total,
        b"RECENT": recent.get(folder.id, 0),
        b"UIDNEXT": folder.uidnext,
        b"UIDVALIDITY": folder.uidvalidity,
        b"UNSEEN": folder.unseen,
        b"HIGHESTMODSEQ": folder.modseq,
        b"SIZE": folder.size,
        b"APPENDLIMIT": session.settings.maximum_message,
    }
    counts = b" ".join(b"%b %d" % (name, values[name]) for name in wanted)
    return b"* STATUS %b (%b)\r\n" % (answers.mailbox(folder.path), counts)
