"""The end of DATA and of the last BDAT: what is known of the message goes to mail flow, its answer to the client.

Strangers' mail goes to `mailflow.inbound`, our users' to `mailflow.submission`. Both are prepared on a thread
(parsed, hashed, large bodies written) and then committed in one transaction; 250 is said after its fsync.
"""

from collections.abc import Generator
from typing import Any

import structlog
from prometheus_client import Counter

from postroom.mailbox.contents import Prepared
from postroom.mailflow import inbound, submission, trace
from postroom.mailflow.assessment import Assessment
from postroom.mailflow.envelopes import Envelope, Limits
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.screening import Arrival
from postroom.model.errors import LetterRefused, OrganizationNotFound, OverQuota, TryLater
from postroom.protocols.smtp.grammar import Reply
from postroom.protocols.smtp.session import Ask, Conversation, Screen, Session, Transaction, Work, Write

MESSAGES = Counter("postroom_smtp_messages", "Messages accepted", ["role"])
OCTETS = Counter("postroom_smtp_octets", "Octets of messages accepted", ["role"])
log = structlog.get_logger("postroom.smtp")


def head(session: Session, transaction: Transaction) -> bytes:
    """Write the lines that are put before the message (RFC 5321 §4.4)."""
    addresses = [address for address, _ in transaction.recipients]
    return trace.lines(
        sender=transaction.sender,
        recipients=addresses,
        origin=trace.user() if session.submitting else trace.stranger(session.hello, session.client.address),
        host=session.settings.hostname,
        protocol=with_protocol(session, international=transaction.international),
        cipher=session.cipher,
        id=transaction.id,
        now=session.now(),
        delivered=not session.submitting,
    )


def with_protocol(session: Session, *, international: bool) -> str:
    """Name the protocol as Received does (RFC 3848, RFC 6531 §4.3)."""
    word = "UTF8SMTP" if international else "ESMTP" if session.extended else "SMTP"
    if session.extended:
        word += ("S" if session.secure else "") + ("A" if session.actor else "")
    return word


def deliver(session: Session, transaction: Transaction, fault: str) -> Conversation:
    """Hand the finished message over; the reply is 250 only once it is safe."""
    spool = transaction.spool
    transaction.find_fault(fault)
    if transaction.refusal is not None or spool is None:
        return transaction.refusal or Reply(503, "5.5.1", "MAIL first")
    scope = transaction.recipients[0][1]
    envelope = Envelope(
        sender=transaction.sender,
        recipients=tuple(address for address, _ in transaction.recipients),
        eight_bit=transaction.eight_bit,
        international=transaction.international,
        returns=transaction.returns,
        envelope_id=transaction.envelope_id,
        wishes=transaction.wishes,
        require_tls=transaction.require_tls,
        hold_until=transaction.hold_until,
    )
    limits = Limits(session.settings.maximum_hops, session.settings.maximum_attachments)
    weight = spool.size
    if session.actor is not None:
        prepared = yield Work(submission.prepare, (session.actor, spool, limits), weight)
        yield Write(scope, submission.submit, (session.actor, envelope, prepared, session.terms))
    else:
        try:
            arrival = Arrival(session.client.address, session.hello, envelope, spool, len(spool.head), weight)
            assessment = yield Screen(arrival, weight)
            prepared = yield Work(inbound.prepare, (scope, envelope, spool, limits, assessment), weight)
            refusing = session.settings.dmarc_reject == "refuse"
            yield from _accept(scope, envelope, prepared, assessment, session.terms, refusing=refusing)
        except OrganizationNotFound as gone:  # deleted since RCPT, but others may be waiting for the letter
            raise TryLater("A recipient has just been removed") from gone
    return _accepted(session, transaction, envelope, spool.size)


def _accept(
    scope: int, envelope: Envelope, prepared: Prepared, assessment: Assessment, terms: Terms, *, refusing: bool
) -> Generator[Ask, Any, None]:
    """Deliver a stranger's letter; one that nobody has room for leaves word, when its own transaction is undone."""
    try:
        yield Write(scope, inbound.deliver, (envelope, prepared, assessment, refusing, terms))
    except (OverQuota, LetterRefused) as refused:
        yield Write(scope, inbound.refuse, (envelope, prepared, refused, assessment, refusing))
        raise


def _accepted(session: Session, transaction: Transaction, envelope: Envelope, size: int) -> Reply:
    session.delivered += 1
    MESSAGES.labels(session.role).inc()
    OCTETS.labels(session.role).inc(size)
    log.info("accepted", id=transaction.id, role=session.role, sender=envelope.sender, recipients=len(envelope.recipients), size=size)
    return Reply(250, "2.0.0", f"OK {transaction.id}")
