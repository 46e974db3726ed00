"""Telling the author: a delivery status notification when a letter failed or is delayed (RFC 3461 §6, RFC 3464).

A notification has the null reverse-path and is never answered by another one; what failed without a reverse-path
is dropped. It goes to the reverse-path by the same doors as any letter, so into the author's mailbox in the same
transaction that takes the letter out of the queue.
"""

from collections.abc import Sequence

from postroom.formats import compose
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import disposition, inbound, queue, srs
from postroom.mailflow.assessment import OURS
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.mailflow.queue import SHORT_LIFETIME, Copy, Parcel
from postroom.mailflow.trace import without_return_path
from postroom.mailflow.verdicts import Verdict
from postroom.model import errors
from postroom.storage.engine import Store, Tx


def prepare(store: Store, hostname: str, parcel: Parcel, outcomes: Sequence[tuple[Copy, Verdict]], raw: bytes, action: str) -> Prepared:
    """Write a notification about some copies of a parcel; `action` is `failed`, `delayed`, `delivered` or `relayed`."""
    now = store.now()
    report = compose.report(
        reporting_mta=hostname,
        sender=f"mailer-daemon@{hostname}",
        recipient=parcel.sender,
        outcomes=[
            compose.Outcome(
                recipient=copy.recipient,
                action=action,
                status=verdict.status,
                diagnostic=verdict.text,
                remote_mta=verdict.host,
                original_recipient=copy.wish.shown,
                last_attempt_at=now,
                retry_until=parcel.queued_at + parcel.lifetime if action == "delayed" else None,
            )
            for copy, verdict in outcomes
        ],
        original=without_return_path(raw),
        now=now,
        whole=action == "failed" and parcel.envelope.comes_back_whole(parcel.size),
        envelope_id=parcel.envelope.shown_id,
        arrived_at=parcel.queued_at,
    )
    return contents.prepare(store, parcel.scope, b"Return-Path: <>\r\n" + report)


def wanted(parcel: Parcel) -> bool:
    """Say whether there is somebody to tell: nobody else's letter comes back to a return path that may be forged.

    Of one that we have written ourselves counts where it leads.
    """
    ours = bool(parcel.sealer) and parcel.sender.lower().endswith(f"@{parcel.sealer}".lower())
    return disposition.returnable(parcel.assessment, srs.origin(parcel.sender) if ours else parcel.sender)


def send(tx: Tx, parcel: Parcel, prepared: Prepared, terms: Terms = USUAL) -> bool:
    """Deliver or queue a notification, which a script may send on by the `terms`; False when there is nobody to tell."""
    if not wanted(parcel):
        return False
    envelope = Envelope("", (parcel.sender,), international=not parcel.sender.isascii(), require_tls=parcel.require_tls)
    try:
        inbound.deliver(tx, envelope, prepared, OURS, terms=terms)
    except errors.OverQuota:
        queue.enqueue(tx, envelope, contents.keep(tx, prepared), size=prepared.size, assessment=OURS, lifetime=SHORT_LIFETIME)
    except (errors.TryLater, errors.InvalidParameter):
        return False
    return True
