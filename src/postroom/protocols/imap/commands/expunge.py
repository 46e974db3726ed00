"""EXPUNGE and UID EXPUNGE: remove what is \\Deleted (RFC 3501 §6.4.3, RFC 4315 §2.1)."""

from postroom.mailbox import items
from postroom.protocols.imap import updates
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Expunge
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps, Write


def expunge(session: Session, command: Expunge) -> Steps:
    """Remove what is \\Deleted, of the folder or of a set of UIDs, and tell each."""
    selected = session.open
    if selected.read_only:
        return answers.no(b"The mailbox is selected read-only.", b"NOPERM")
    uids = None if command.uids is None else selected.view.ranges(selected.view.resolve(command.uids, uid=True))
    _, caught = yield Write(updates.aloud, selected, items.expunge, selected.mailbox, selected.folder.id, uids)
    yield (yield from updates.tell(selected, caught, expunges=True))
    code = b"HIGHESTMODSEQ %d" % selected.modseq if selected.condstore else b""
    return answers.ok(b"EXPUNGE completed.", code)
