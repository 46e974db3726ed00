"""Judging a letter within the transaction that delivers it: what the organization has settled is looked up, and what came of it is told."""

from collections.abc import Mapping, Sequence

from postroom.formats import compose, message
from postroom.formats.message import Letterhead
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import disposition, events, queue
from postroom.mailflow.assessment import Assessment, Policy
from postroom.mailflow.disposition import Circumstances, Disposition
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.trace import without_return_path
from postroom.policy import dmarc
from postroom.storage.engine import Tx


def look_up(tx: Tx, assessment: Assessment, *, refusing: bool = False) -> Circumstances:
    """Look up by what a letter is to be judged in this organization."""
    enforced = disposition.asked(assessment) is not Policy.NONE and dmarc.dmarc_enforced(tx)
    return Circumstances(assessment, enforced, refusing)


def tell(tx: Tx, trace: str, head: Letterhead, judged: Mapping[str, Disposition]) -> None:
    """Tell what has been applied to a letter on its way to addresses here."""
    for policy in (Policy.QUARANTINE, Policy.REJECT):
        hit = [address for address, found in judged.items() if found.policy is policy]
        if hit:
            events.dmarc_policy_applied(tx, trace, head, hit, policy)


def send_back(tx: Tx, envelope: Envelope, prepared: Prepared, assessment: Assessment, judged: Mapping[str, Disposition]) -> bool:
    """Queue a report to the sender of a letter about those who do not want it; False when there is nobody who may be told."""
    sender = envelope.sender
    if not judged or not disposition.returnable(assessment, sender):
        return False
    raw = without_return_path(contents.read(tx, contents.keep(tx, prepared)))
    report(tx, sender, raw, [(address, found.reason) for address, found in judged.items()])
    return True


def report(tx: Tx, sender: str, raw: bytes, refusals: Sequence[tuple[str, str]]) -> None:
    """Queue a report with the null reverse-path about recipients that refuse a letter, and why."""
    domain = refusals[0][0].rpartition("@")[2]
    text = compose.report(
        reporting_mta=domain,
        sender=f"mailer-daemon@{domain}",
        recipient=sender,
        outcomes=[
            compose.Outcome(recipient=address, action="failed", status="5.7.1", diagnostic=reason) for address, reason in refusals
        ],
        original=raw,
        now=tx.now,
    )
    text = b"Return-Path: <>\r\n" + text
    prepared = Prepared(tx.blobs.prepare(text), message.summarize(text))
    envelope = Envelope("", (sender,), eight_bit=not text.isascii(), international=not sender.isascii())
    queue.enqueue(tx, envelope, contents.keep(tx, prepared), size=prepared.size)
