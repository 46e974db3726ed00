"""Recording every letter of an organization that wants it: one record as a letter goes out or comes in, queued with it in one transaction.

The record's return path is the address that hears of failures. Neither records themselves are recorded nor this server's own reports, so
that a record that cannot be delivered makes no further ones.
"""

from collections.abc import Sequence

from postroom.formats import journal
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import events, queue
from postroom.mailflow.assessment import OURS, Assessment
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.trace import without_return_path
from postroom.policy import journaling
from postroom.storage.engine import Tx


def record(tx: Tx, trace: str, envelope: Envelope, prepared: Prepared, recipients: Sequence[str], assessment: Assessment) -> None:
    """Queue the record of a letter, if there is to be one, and tell of it."""
    found = journaling.find(tx)
    head = prepared.summary.letterhead
    if found is None or (assessment.ours and (not envelope.sender or head.author.startswith(f"{journaling.NAME}@"))):
        return
    raw = journal.write(
        sender=found.sender,
        recipient=found.journal,
        head=head,
        envelope_sender=envelope.sender,
        recipients=recipients,
        original=without_return_path(contents.read(tx, contents.keep(tx, prepared))),
        now=tx.now,
    )
    written = b"Return-Path: <" + found.report.encode() + b">\r\n" + raw
    kept = contents.written(tx, written)
    wide = not (found.report + found.journal).isascii()
    later = Envelope(found.report, (found.journal,), eight_bit=not raw.isascii(), international=wide)
    queue.enqueue(tx, later, contents.keep(tx, kept), size=kept.size, assessment=OURS)
    events.journaling_initiated(tx, trace, found.journal)
