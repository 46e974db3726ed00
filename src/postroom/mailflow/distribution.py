"""A letter goes to everybody it is for, in one transaction: into mailboxes here, into the queue for others and for those without room.

So goes what a stranger brings (`inbound`), what a user sends (`submission`), and what has waited for a hook (`answered`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from postroom.mailbox.contents import Prepared
from postroom.mailflow import events, flow, hooks, journaling, judgement, later, outgoing
from postroom.mailflow.assessment import OURS, Assessment, Verdict
from postroom.mailflow.copies import Copies
from postroom.mailflow.disposition import Disposition, Fate
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.flow import Direction
from postroom.mailflow.hooks import Passing
from postroom.mailflow.lists import Letters
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.queue import Hold
from postroom.mailflow.recipients import Division, Target
from postroom.mailflow.sieve.delivery import Passage
from postroom.model import errors
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule
from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class Answered:
    """A letter that has waited for a hook: its id in the message flow, what is done with it here by recipient, whether it is recorded."""

    trace: str = ""
    rulings: Mapping[str, Rule] = field(default_factory=dict)
    recorded: bool = False


NEW = Answered()
NOBODY = Target("", (), group=False, emails=())


def distribute(
    tx: Tx,
    envelope: Envelope,
    division: Division,
    prepared: Prepared,
    *,
    author: str = "",
    assessment: Assessment = OURS,
    refusing: bool = False,
    rules: Mapping[str, Rule] | None = None,
    terms: Terms = outgoing.USUAL,
    hold: Hold | None = None,
    answered: Answered = NEW,
) -> None:
    """Put a letter into the mailboxes of a division, and queue it for those elsewhere or without room just now.

    `author` is the user who sends it, `rules` those that have decided about recipients beforehand; with a `hold` nothing leaves. Raises
    `OverQuota` when nobody could take it, `LetterRefused` when nobody wants it; neither where it has waited, as nobody hears that any more.
    """
    waited, head = bool(answered.trace), prepared.summary.letterhead
    copies = Copies(judgement.look_up(tx, envelope, head, assessment, refusing=refusing))
    if waited and not author:
        copies.case, copies.trace = replace(copies.case, rulings=answered.rulings), answered.trace
    letters = Letters(tx, prepared, terms.leave_at)
    for target in division.here:
        copies.judge(target, letters)
    if not waited:
        _require_wanted(copies.judged, division)
    wanted = [target for target in division.here if copies.judged[target.address].delivers]
    owners = {owner: email for target in wanted for owner, email in zip(target.owners, target.emails, strict=True)}
    alone = len(envelope.recipients) == 1 and len(division.here) == 1 and not division.here[0].group and not waited
    passage = Passage(envelope, assessment=assessment, refusable=alone, terms=terms)
    via = _ways(wanted)
    copies.append_all(tx, owners, letters, passage, via)
    stay = bool(copies.waiting) or any(map(judgement.waits, (rules or {}).values()))
    if copies.full and len(copies.full) == len(owners) and not (division.elsewhere or stay or waited):
        raise errors.OverQuota("The mailbox is full")
    trace = _depart(tx, envelope, wanted, prepared, copies, rules or {}, answered.trace) if author else ""
    if author and not waited:
        journaling.record(tx, trace, envelope, prepared, envelope.recipients, assessment)
        hooks.post(tx, Passing(envelope, trace, head, assessment, author, recorded=True), lambda: copies.keep(tx, prepared), rules or {})
    if division.here:
        here = [target.address for target in division.here]
        copies.arrive(tx, here, prepared, assessment, known=waited and not author)
        copies.call_hooks(tx, envelope, prepared, here, assessment, recorded=bool(author))
        delivered = [address for address, found in copies.judged.items() if found.delivers]
        if delivered and not (author or answered.recorded):
            journaling.record(tx, copies.trace, envelope, prepared, delivered, assessment)
        _send_back(tx, envelope, prepared, copies, assessment)
        _confirm(tx, envelope, prepared, copies, assessment, wanted)
    known_as = trace or copies.trace
    if division.elsewhere:
        if hold is not None:
            events.held(tx, trace, division.elsewhere, hold.reason)
        via_gateways = judgement.ways(rules or {})
        later.wait(
            tx, envelope, prepared, division.elsewhere, author=author, trace=known_as, assessment=assessment, hold=hold, via=via_gateways
        )
    for (known, target), owners_ in _without_room(copies, via, assessment).items():
        later.wait_for_room(tx, envelope, letters, target, owners_, trace=known_as, author=author, assessment=known)


def _require_wanted(judged: Mapping[str, Disposition], division: Division) -> None:
    """Raise `LetterRefused` when every recipient's copy would go back."""
    if judged and not division.elsewhere and all(found.fate is Fate.BOUNCE for found in judged.values()):
        raise errors.LetterRefused(next(iter(judged.values())).reason)


def _ways(targets: Sequence[Target]) -> dict[str, Target]:
    """Say by way of which address each owner gets the letter: the own one before that of a group, else the first."""
    found: dict[str, Target] = {}
    for target in sorted(targets, key=lambda target: target.group):
        for owner in target.owners:
            found.setdefault(owner, target)
    return found


def _without_room(copies: Copies, via: Mapping[str, Target], assessment: Assessment) -> dict[tuple[Assessment, Target], list[str]]:
    """Sort those whose mailboxes are full by what is to be known of their copies later, and by whom these were for.

    What a hook has said of them is not asked again.
    """
    found: dict[tuple[Assessment, Target], list[str]] = {}
    for owner in copies.full:
        ruling = copies.case.rulings.get(via[owner].address)
        spam = {Action.JUNK: Verdict.FAIL, Action.NEVER_JUNK: Verdict.PASS}.get(ruling.action) if ruling else None
        known = replace(assessment, content=replace(assessment.content, spam=spam)) if spam else assessment
        found.setdefault((known, via[owner] if via[owner].group else NOBODY), []).append(owner)
    return found


def _send_back(tx: Tx, envelope: Envelope, prepared: Prepared, copies: Copies, assessment: Assessment) -> None:
    """Tell, and let the sender know, of those who do not want a letter that others get."""
    unwanted = {address: found for address, found in copies.judged.items() if found.fate is Fate.BOUNCE}
    judgement.send_back(tx, envelope, prepared, assessment, unwanted)
    for address, found in unwanted.items():
        events.refused(tx, copies.trace, address, reason=found.reason, status="5.7.1")


def _confirm(tx: Tx, envelope: Envelope, prepared: Prepared, copies: Copies, assessment: Assessment, targets: Sequence[Target]) -> None:
    """Let a sender who wants that know of the recipients who have a letter by now."""
    delivered = {target.address: target.group for target in targets if target.group or not set(target.owners) <= set(copies.full)}
    judgement.confirm(tx, envelope, prepared, assessment, delivered)


def _depart(
    tx: Tx, envelope: Envelope, targets: Sequence[Target], prepared: Prepared, copies: Copies, rules: Mapping[str, Rule], known: str
) -> str:
    """Put a user's letter into the message flow under an id of its own, unless it is `known` there, and tell of it and of who has it.

    Gives the id.
    """
    head, trace = prepared.summary.letterhead, known
    if not trace:
        trace = flow.enter(tx, copies.keep(tx, prepared), Direction.OUTGOING)
        events.submitted(tx, trace, head, envelope.recipients)
    judgement.tell_rules(tx, trace, rules)
    for address, rule in rules.items():
        if rule.action is Action.BOUNCE:
            events.returned(tx, trace, address, reason=rule.message or flow_rules.DEFAULT_MESSAGE, status="5.7.1")
    for target in targets:
        if not set(target.owners) <= set(copies.full):
            events.sent(tx, trace, head, target.address)
    return trace
