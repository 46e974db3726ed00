"""Queued copies come in for an organization of this server: from another one, or those that have waited here for room."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from postroom.mailbox.contents import Prepared
from postroom.mailflow import journaling, judgement, later, outgoing, queue, recipients
from postroom.mailflow.assessment import OURS, Assessment
from postroom.mailflow.copies import Copies
from postroom.mailflow.disposition import Fate
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.lists import Letters
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.sieve.delivery import Passage
from postroom.model import errors
from postroom.storage.engine import Tx

Outcome = errors.PostroomError | Fate | None
"""Why a copy was kept out, its fate where it was taken and lies in no mailbox, or None when it has been delivered."""


def hand_over(
    tx: Tx,
    source: int,
    numbers: Sequence[int],
    envelope: Envelope,
    prepared: Prepared,
    *,
    trace: str = "",
    assessment: Assessment = OURS,
    terms: Terms = outgoing.USUAL,
) -> list[Outcome]:
    """Deliver queued copies, each at most once ever; `numbers` are the ids of the recipients' rows in scope `source`.

    What was taken before a crash is not taken again. A letter that waited here for room keeps its `trace`, one from another organization
    gets one of ours. It is judged by the `assessment` with which it came.
    """
    outcomes: list[Outcome] = []
    served: set[str] = set()
    known = trace if source == tx.organization else ""
    case = judgement.look_up(tx, envelope, prepared.summary.letterhead, assessment)
    copies = Copies(replace(case, heard=bool(known)), trace=known)
    passage, letters = Passage(envelope, assessment=assessment, terms=terms), Letters(tx, prepared, terms.leave_at)
    for number, address in zip(numbers, envelope.recipients, strict=True):
        outcome: Outcome = None
        if not queue.is_handed_over(tx, source, number):
            outcome = _hand_over(tx, address, letters, served, copies, passage)
            if not isinstance(outcome, errors.PostroomError):
                queue.note_hand_over(tx, source, number)
        outcomes.append(outcome)
    if copies.content is not None or any(not found.delivers for found in copies.judged.values()):
        pairs = zip(envelope.recipients, outcomes, strict=True)
        taken = [address for address, outcome in pairs if isinstance(outcome, Fate | errors.LetterRefused | None)]
        copies.arrive(tx, taken, prepared, assessment, known=bool(known))
        if not known:
            confirmed = _confirmed(envelope, copies.waiting)  # by who hands it over
            copies.call_hooks(tx, confirmed, prepared, taken, assessment, recorded=source == tx.organization)
        recorded = [address for address in taken if address not in copies.waiting]
        if source != tx.organization and copies.content is not None and recorded:
            journaling.record(tx, copies.trace, envelope, prepared, recorded, assessment)
    return outcomes


def _hand_over(tx: Tx, address: str, letters: Letters, served: set[str], copies: Copies, passage: Passage) -> Outcome:
    target, prepared = recipients.resolve(tx, address), letters.prepared
    if target is None:
        return _pass_back(tx, address, prepared, copies, passage)
    judged = copies.judge(target, letters)
    if not judged.delivers:
        return errors.LetterRefused(judged.reason) if judged.fate is Fate.BOUNCE else judged.fate
    owners = {owner: email for owner, email in zip(target.owners, target.emails, strict=True) if owner not in served}
    full = copies.append_all(tx, owners, letters, passage, dict.fromkeys(owners, target))
    if full and not target.group:
        return errors.OverQuota("The mailbox is full")
    served.update(owners)
    if full:
        later.wait_for_room(tx, passage.envelope, letters, target, full, trace=copies.enter(tx, prepared), assessment=passage.assessment)
    return None


def _pass_back(tx: Tx, address: str, prepared: Prepared, copies: Copies, passage: Passage) -> errors.PostroomError | None:
    """Queue a bounce to a return path that we have rewritten for where that came from; there is nobody else at such an address."""
    origins = recipients.divide(tx, (address,), bounce=not passage.envelope.sender).elsewhere
    if origins == (address,) or not origins:
        return errors.EntityNotFound("No such address here")
    later.wait(tx, passage.envelope, prepared, origins, trace=copies.enter(tx, prepared), assessment=passage.assessment)
    return None


def _confirmed(envelope: Envelope, waiting: Collection[str]) -> Envelope:
    """Give an envelope of whose delivery nobody wants to hear any more but for recipients who wait for a hook (RFC 3461 §4.1)."""
    wishes = dict(envelope.wishes)
    for address, wish in envelope.wishes.items():
        if wish.success and address not in waiting:
            wishes[address] = replace(wish, notify=",".join(word for word in wish.notify.split(",") if word != "SUCCESS") or "NEVER")
    return replace(envelope, wishes=wishes)
