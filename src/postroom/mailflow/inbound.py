"""A stranger's letter comes in: checked and parsed outside the transaction, then delivered to all in one.

One letter, one transaction, in the organization of its first recipient. Copies for other organizations become
rows of the queue in that same transaction and are handed over from there (`outbound`), so that the one 250 is true
for all of them. So does the copy for a mailbox that filled up meanwhile, when others could take theirs: it is tried
again for days before its sender hears of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from postroom.formats import headers
from postroom.mailbox import access, contents, folders, items
from postroom.mailbox.contents import Prepared
from postroom.mailflow import queue, recipients
from postroom.mailflow.envelopes import Envelope, Limits, Source
from postroom.mailflow.recipients import Division
from postroom.model import errors
from postroom.storage.engine import Store, Tx


def prepare(store: Store, scope: int, envelope: Envelope, source: Source, limits: Limits) -> Prepared:
    """Check and parse a message; raises `MailLoop`, `MalformedMessage`, `MessageTooLarge`."""
    raw = source.read()
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


def deliver(tx: Tx, envelope: Envelope, prepared: Prepared) -> None:
    """Put a letter into every mailbox it is for, and queue what is for others.

    Raises `OverQuota` when nobody could take it, `TryLater` when a recipient has gone since being accepted:
    the sender tries again and hears at RCPT which one it was.
    """
    division = recipients.divide(tx, envelope.recipients)
    if division.unknown:
        raise errors.TryLater("A recipient has just been removed")
    distribute(tx, envelope, division, prepared)


def distribute(tx: Tx, envelope: Envelope, division: Division, prepared: Prepared, *, author: str = "") -> None:
    """Put a letter into the mailboxes of a division, and queue it for those elsewhere or without room just now.

    Raises `OverQuota` when nobody could take it.
    """
    full = _append_all(tx, division.owners, prepared)
    if full and len(full) == len(division.owners) and not division.elsewhere:
        raise errors.OverQuota("The mailbox is full")
    _wait(tx, envelope, prepared, [*division.elsewhere, *recipients.addresses_of(tx, full)], author)


def hand_over(tx: Tx, source: int, numbers: Sequence[int], envelope: Envelope, prepared: Prepared) -> list[errors.PostroomError | None]:
    """Deliver queued copies, each at most once ever; `numbers` are the ids of the recipients' rows in scope `source`.

    Gives for each the error that kept it out, or None. What was delivered before a crash is not delivered again.
    """
    outcomes: list[errors.PostroomError | None] = []
    served: set[str] = set()
    for number, address in zip(numbers, envelope.recipients, strict=True):
        outcome = None
        if not queue.is_handed_over(tx, source, number):
            outcome = _hand_over(tx, address, envelope, prepared, served)
            if outcome is None:
                queue.note_hand_over(tx, source, number)
        outcomes.append(outcome)
    return outcomes


def _append_all(tx: Tx, owners: Iterable[str], prepared: Prepared) -> list[str]:
    """Put a letter into the inbox of each; give those whose mailboxes are full."""
    full = []
    for owner in owners:
        mailbox = access.open_for_delivery(tx, owner)
        inbox = folders.by_role(tx, mailbox, "inbox")
        try:
            items.append(tx, mailbox, inbox.id, prepared)
        except errors.OverQuota:
            full.append(owner)
    return full


def _hand_over(tx: Tx, address: str, envelope: Envelope, prepared: Prepared, served: set[str]) -> errors.PostroomError | None:
    target = recipients.resolve(tx, address)
    if target is None:
        return errors.EntityNotFound("No such address here")
    owners = [owner for owner in target.owners if owner not in served]
    full = _append_all(tx, owners, prepared)
    if full and not target.group:
        return errors.OverQuota("The mailbox is full")
    served.update(owners)
    if full:
        _wait(tx, envelope, prepared, recipients.addresses_of(tx, full))
    return None


def _wait(tx: Tx, envelope: Envelope, prepared: Prepared, addresses: Iterable[str], author: str = "") -> None:
    later = replace(envelope, recipients=tuple(addresses))
    if later.recipients:
        queue.enqueue(tx, later, contents.keep(tx, prepared), size=prepared.size, author=author)
