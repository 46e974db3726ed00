"""DATA: the message itself, to its end at CRLF.CRLF (RFC 5321 §4.1.1.4)."""

from postroom.protocols.smtp.commands.delivery import deliver, head
from postroom.protocols.smtp.grammar import Data, Reply
from postroom.protocols.smtp.session import Collect, Conversation, Session


def data(session: Session, command: Data) -> Conversation:
    """Collect the content and deliver it; the transaction ends however it goes."""
    transaction = session.transaction
    if transaction is None:
        return Reply(503, "5.5.1", "MAIL first")
    if transaction.spool is not None:
        return Reply(503, "5.5.1", "BDAT has begun")
    if not transaction.recipients:
        return Reply(554, "5.5.1", "No recipients")
    transaction.spool = session.open_spool(head(session, transaction))
    fault = yield Collect()
    try:
        return (yield from deliver(session, transaction, fault))
    finally:
        session.reset()
