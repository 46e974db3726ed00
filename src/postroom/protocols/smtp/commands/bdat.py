"""BDAT: the message in counted chunks (RFC 3030 §2).

The loop has put a chunk's octets into the spool, or thrown them away, before this runs: how many there are was
said in the command line, and they came whether welcome or not.
"""

from postroom.protocols.smtp.commands.delivery import deliver, head
from postroom.protocols.smtp.grammar import Bdat, Reply
from postroom.protocols.smtp.session import Conversation, Session


def refuse(session: Session) -> Reply | None:
    """Say why no chunk is welcome now, before its octets are read."""
    if session.transaction is None:
        return Reply(503, "5.5.1", "MAIL first")
    if not session.transaction.recipients:
        return Reply(554, "5.5.1", "No recipients")
    return None


def begin(session: Session) -> bool:
    """Make ready for a chunk; say whether it is the first of its message."""
    transaction = session.transaction
    if transaction is None or transaction.spool is not None:
        return False
    transaction.spool = session.open_spool(head(session, transaction))
    return True


def bdat(session: Session, command: Bdat, fault: str) -> Conversation:
    """Answer a chunk; after the last one deliver."""
    transaction = session.transaction
    if transaction is None or transaction.spool is None:
        return refuse(session) or Reply(503, "5.5.1", "MAIL first")
    if not command.last:
        transaction.find_fault(fault)
        return transaction.refusal or Reply(250, "2.0.0", f"{command.size} octets received")
    try:
        return (yield from deliver(session, transaction, fault))
    finally:
        session.reset()
