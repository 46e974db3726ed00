"""A stranger's letter comes in: checked and parsed outside the transaction, then delivered to all in one.

One letter, one transaction, in the organization of its first recipient. Copies for other organizations become
rows of the queue in that same transaction and are handed over from there (`outbound`), so that the one 250 is true
for all of them. So does the copy for a mailbox that filled up meanwhile, when others could take theirs: it is tried
again for days before its sender hears of it. A copy of which a hook is to say what becomes of it waits in the organization (`hooks`).
"""

from postroom.formats import headers
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import disposition, distribution, events, flow, judgement, outgoing, recipients
from postroom.mailflow.assessment import OURS, UNKNOWN, Assessment, Content
from postroom.mailflow.authentication import results
from postroom.mailflow.envelopes import Envelope, Limits, Source
from postroom.mailflow.filters import verdict_lines
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.reports import dmarc_counts
from postroom.model import errors
from postroom.storage.engine import Store, Tx


def prepare(store: Store, scope: int, envelope: Envelope, source: Source, limits: Limits, assessment: Assessment = OURS) -> Prepared:
    """Check and parse a message; raises `MailLoop`, `MalformedMessage`, `MessageTooLarge`."""
    raw = verdict_lines.stamp(results.stamp(source.read(), assessment), assessment.content)
    check(raw, limits)
    check_delivered(raw, envelope)
    prepared = contents.prepare(store, scope, raw)
    check_attachments(prepared, limits)
    return prepared



def check(raw: bytes, limits: Limits) -> None:
    """Refuse what goes round in circles (RFC 5321 §6.3) and what has two From lines (RFC 5322 §3.6)."""
    if headers.received_count(raw) > limits.hops:
        raise errors.MailLoop("Too many hops")
    if len(headers.find_all(raw, "From")) > 1:
        raise errors.MalformedMessage("More than one From line")



def check_delivered(raw: bytes, envelope: Envelope) -> None:
    """Refuse what has been delivered to its one recipient before; the first Delivered-To is our own."""
    if len(envelope.recipients) == 1:
        only = envelope.recipients[0].casefold()
        before = headers.find_all(raw, "Delivered-To")[1:]
        if any(value.strip().decode("utf-8", "replace").casefold() == only for value in before):
            raise errors.MailLoop("This message has been delivered to this address before")



def check_attachments(prepared: Prepared, limits: Limits) -> None:
    """Refuse too many attachments (WorkMail: 500)."""
    if prepared.summary.attachments > limits.attachments:
        raise errors.MessageTooLarge(f"A message may have {limits.attachments} attachments")



def deliver(
    tx: Tx,
    envelope: Envelope,
    prepared: Prepared,
    assessment: Assessment = UNKNOWN,
    refusing: bool = False,
    terms: Terms = outgoing.USUAL,
) -> None:
    """Put a letter into every mailbox it is for, and queue what is for others.

    `refusing` says that what DMARC forbids is refused, not dropped; `terms` are those of what scripts send on. Raises `LetterRefused` when
    nobody wants it, `OverQuota` when nobody could take it, `TryLater` when a recipient has gone since being accepted: the sender tries
    again and hears at RCPT which one it was.
    """
    _obey(assessment.content)
    division = recipients.divide(tx, envelope.recipients, bounce=not envelope.sender)
    if division.unknown:
        raise errors.TryLater("A recipient has just been removed")
    distribution.distribute(tx, envelope, division, prepared, assessment=assessment, refusing=refusing, terms=terms)
    dmarc_counts.note(tx, envelope, prepared.summary.letterhead, assessment)



def _obey(content: Content) -> None:
    """Raise `LetterRefused` or `TryLater` where the filters want that."""
    if content.refuse:
        raise errors.LetterRefused(content.refuse)
    if content.defer:
        raise errors.TryLater(content.defer)



def refuse(
    tx: Tx, envelope: Envelope, prepared: Prepared, reason: errors.PostroomError, assessment: Assessment = OURS, refusing: bool = False
) -> None:
    """Tell of a letter that nobody here could or would take; its sender hears of it by the answer."""
    here = [target.address for target in recipients.divide(tx, envelope.recipients).here]
    trace = flow.passing_id(tx)
    head = prepared.summary.letterhead
    events.received(tx, trace, head, here, assessment)
    if isinstance(reason, errors.LetterRefused):
        dmarc_counts.note(tx, envelope, head, assessment)
        case = judgement.look_up(tx, envelope, head, assessment, refusing=refusing)
        judgement.tell(tx, trace, head, {address: disposition.decide(case, address) for address in here})
    for address in here:
        events.refused(tx, trace, address, reason=reason.text, status="5.2.2" if isinstance(reason, errors.OverQuota) else "5.7.1")



def refuse_recipient(tx: Tx, address: str, reason: errors.PostroomError) -> None:
    """Tell of somebody who has no room for a letter, which is not sent therefore."""
    events.refused(tx, flow.passing_id(tx), address, reason=reason.text, status="5.2.2")
