"""A stranger's letter comes in: checked and parsed outside the transaction, then delivered to all in one.

One letter, one transaction, in the organization of its first recipient. Copies for other organizations become
rows of the queue in that same transaction and are handed over from there (`outbound`), so that the one 250 is true
for all of them. So does the copy for a mailbox that filled up meanwhile, when others could take theirs: it is tried
again for days before its sender hears of it. A copy of which a hook is to say what becomes of it waits in the organization (`hooks`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from postroom.formats import headers
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import disposition, events, flow, hooks, journaling, judgement, lists, outgoing, placing, queue, recipients
from postroom.mailflow.assessment import OURS, UNKNOWN, Assessment, Content, Verdict
from postroom.mailflow.authentication import results
from postroom.mailflow.disposition import Circumstances, Disposition, Fate
from postroom.mailflow.envelopes import Envelope, Limits, Source, Wish
from postroom.mailflow.filters import verdict_lines
from postroom.mailflow.flow import Direction
from postroom.mailflow.hooks import Passing
from postroom.mailflow.lists import Letters
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.queue import Hold
from postroom.mailflow.recipients import Division, Target
from postroom.mailflow.reports import dmarc_counts
from postroom.mailflow.sieve.delivery import Applied, Passage
from postroom.model import errors
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule
from postroom.storage.engine import Store, Tx


@dataclass(slots=True)
class _Copies:
    """What becomes of a letter here: content, id in the message flow, who has it in which folder, who has no room, whose rules spoke.

    `case` is what it is judged by, `judged` what was decided about each address.
    """

    case: Circumstances
    content: int | None = None
    trace: str = ""
    places: list[tuple[str, str]] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    applied: list[tuple[str, Applied]] = field(default_factory=list)
    judged: dict[str, Disposition] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """Say whether anybody here was to get the letter, or may be."""
        return any(found.delivers or found.fate is Fate.WAIT for found in self.judged.values())

    def keep(self, tx: Tx, prepared: Prepared) -> int:
        """Give the content, kept by now."""
        if self.content is None:
            self.content = contents.keep(tx, prepared)
        return self.content

    def enter(self, tx: Tx, prepared: Prepared) -> str:
        """Give the id under which the letter has come in, by now."""
        self.trace = self.trace or flow.enter(tx, self.keep(tx, prepared), Direction.INCOMING)
        return self.trace


@dataclass(frozen=True, slots=True)
class Answered:
    """A letter that has waited for a hook: its id in the message flow, what is done with it here by recipient, whether it is recorded."""

    trace: str = ""
    rulings: Mapping[str, Rule] = field(default_factory=dict)
    recorded: bool = False


NEW = Answered()
NOBODY = Target("", (), group=False, emails=())


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
    distribute(tx, envelope, division, prepared, assessment=assessment, refusing=refusing, terms=terms)
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
    copies = _Copies(judgement.look_up(tx, envelope, head, assessment, refusing=refusing))
    if waited and not author:
        copies.case, copies.trace = replace(copies.case, rulings=answered.rulings), answered.trace
    letters = Letters(tx, prepared, terms.leave_at)
    copies.judged = {target.address: _judge(copies.case, target, letters) for target in division.here}
    if not waited:
        _require_wanted(copies.judged, division)
    wanted = [target for target in division.here if copies.judged[target.address].delivers]
    owners = {owner: email for target in wanted for owner, email in zip(target.owners, target.emails, strict=True)}
    alone = len(envelope.recipients) == 1 and len(division.here) == 1 and not division.here[0].group and not waited
    passage = Passage(envelope, assessment=assessment, refusable=alone, terms=terms)
    via = _ways(wanted)
    _append_all(tx, owners, letters, copies, passage, via)
    stay = any(found.fate is Fate.WAIT for found in copies.judged.values()) or any(map(judgement.waits, (rules or {}).values()))
    if copies.full and len(copies.full) == len(owners) and not (division.elsewhere or stay or waited):
        raise errors.OverQuota("The mailbox is full")
    trace = _depart(tx, envelope, wanted, prepared, copies, rules or {}, answered.trace) if author else ""
    if author and not waited:
        journaling.record(tx, trace, envelope, prepared, envelope.recipients, assessment)
        hooks.post(tx, Passing(envelope, trace, head, assessment, author, recorded=True), lambda: copies.keep(tx, prepared), rules or {})
    if division.here:
        here = [target.address for target in division.here]
        _arrive(tx, here, prepared, copies, assessment, known=waited and not author)
        _call_hooks(tx, envelope, prepared, copies, here, assessment, recorded=bool(author))
        delivered = [address for address, found in copies.judged.items() if found.delivers]
        if delivered and not (author or answered.recorded):
            journaling.record(tx, copies.trace, envelope, prepared, delivered, assessment)
        _send_back(tx, envelope, prepared, copies, assessment)
        _confirm(tx, envelope, prepared, copies, assessment, wanted)
    wait = partial(_wait, tx, envelope, prepared, author=author, trace=trace or copies.trace)
    if division.elsewhere:
        if hold is not None:
            events.held(tx, trace, division.elsewhere, hold.reason)
        wait(division.elsewhere, assessment=assessment, hold=hold, via=judgement.ways(rules or {}))
    for (known, target), owners_ in _without_room(copies, via, assessment).items():
        _wait_for_room(tx, passage, letters, target, owners_, trace=trace or copies.trace, author=author, assessment=known)


def _require_wanted(judged: Mapping[str, Disposition], division: Division) -> None:
    """Raise `LetterRefused` when every recipient's copy would go back."""
    if judged and not division.elsewhere and all(found.fate is Fate.BOUNCE for found in judged.values()):
        raise errors.LetterRefused(next(iter(judged.values())).reason)


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
) -> list[errors.PostroomError | None]:
    """Deliver queued copies, each at most once ever; `numbers` are the ids of the recipients' rows in scope `source`.

    Gives for each the error that kept it out, or None. What was delivered before a crash is not delivered again. A letter that waited here
    for room keeps its `trace`, one from another organization gets one of ours. It is judged by the `assessment` with which it came.
    """
    outcomes: list[errors.PostroomError | None] = []
    served: set[str] = set()
    known = trace if source == tx.organization else ""
    case = judgement.look_up(tx, envelope, prepared.summary.letterhead, assessment)
    copies = _Copies(replace(case, heard=bool(known)), trace=known)
    passage, letters = Passage(envelope, assessment=assessment, terms=terms), Letters(tx, prepared, terms.leave_at)
    for number, address in zip(numbers, envelope.recipients, strict=True):
        outcome = None
        if not queue.is_handed_over(tx, source, number):
            outcome = _hand_over(tx, address, letters, served, copies, passage)
            if outcome is None:
                queue.note_hand_over(tx, source, number)
        outcomes.append(outcome)
    if copies.content is not None or any(not found.delivers for found in copies.judged.values()):
        pairs = zip(envelope.recipients, outcomes, strict=True)
        taken = [address for address, outcome in pairs if outcome is None or isinstance(outcome, errors.LetterRefused)]
        _arrive(tx, taken, prepared, copies, assessment, known=bool(known))
        if not known:
            confirmed = _confirmed(envelope)  # by who hands it over
            _call_hooks(tx, confirmed, prepared, copies, taken, assessment, recorded=source == tx.organization)
        stay = {address for address, found in copies.judged.items() if found.fate is Fate.WAIT}
        recorded = [address for address in taken if address not in stay]
        if source != tx.organization and copies.content is not None and recorded:
            journaling.record(tx, copies.trace, envelope, prepared, recorded, assessment)
    return outcomes


def _ways(targets: Sequence[Target]) -> dict[str, Target]:
    """Say by way of which address each owner gets the letter: the own one before that of a group, else the first."""
    found: dict[str, Target] = {}
    for target in sorted(targets, key=lambda target: target.group):
        for owner in target.owners:
            found.setdefault(owner, target)
    return found


def _judge(case: Circumstances, target: Target, letters: Letters) -> Disposition:
    """Decide about a letter for an address; what has been through a group does not go there again."""
    found = disposition.decide(case, target.address)
    return Disposition(Fate.BOUNCE, lists.LOOP, found.policy) if found.delivers and letters.looped(target) else found


def _append_all(
    tx: Tx, owners: Mapping[str, str], letters: Letters, copies: _Copies, passage: Passage, via: Mapping[str, Target]
) -> list[str]:
    """Put a letter into the mailbox of each, named by id and primary address, to whom it came `via` an address; give those without room."""
    full = []
    for owner, email in owners.items():
        target = via[owner]
        way = replace(passage, recipient=target.address, group=target.group)
        try:
            junk = copies.judged[target.address].fate is Fate.JUNK
            placed = placing.place(tx, owner, letters.of(target, owner), junk=junk, passage=way)
        except errors.OverQuota:
            full.append(owner)
        else:
            copies.keep(tx, letters.prepared)
            copies.places += [(email, folder) for folder in placed.folders]
            copies.applied += [(email, placed.applied)] if placed.applied else []
    copies.full += full
    return full


def _hand_over(tx: Tx, address: str, letters: Letters, served: set[str], copies: _Copies, passage: Passage) -> errors.PostroomError | None:
    target, prepared = recipients.resolve(tx, address), letters.prepared
    if target is None:
        return _pass_back(tx, address, prepared, copies, passage)
    judged = _judge(copies.case, target, letters)
    copies.judged[address] = judged
    if not judged.delivers:
        return errors.LetterRefused(judged.reason) if judged.fate is Fate.BOUNCE else None
    owners = {owner: email for owner, email in zip(target.owners, target.emails, strict=True) if owner not in served}
    full = _append_all(tx, owners, letters, copies, passage, dict.fromkeys(owners, target))
    if full and not target.group:
        return errors.OverQuota("The mailbox is full")
    served.update(owners)
    if full:
        _wait_for_room(tx, passage, letters, target, full, trace=copies.enter(tx, prepared), assessment=passage.assessment)
    return None


def _pass_back(tx: Tx, address: str, prepared: Prepared, copies: _Copies, passage: Passage) -> errors.PostroomError | None:
    """Queue a bounce to a return path that we have rewritten for where that came from; there is nobody else at such an address."""
    origins = recipients.divide(tx, (address,), bounce=not passage.envelope.sender).elsewhere
    if origins == (address,) or not origins:
        return errors.EntityNotFound("No such address here")
    _wait(tx, passage.envelope, prepared, origins, trace=copies.enter(tx, prepared), assessment=passage.assessment)
    return None


def _arrive(tx: Tx, addresses: Sequence[str], prepared: Prepared, copies: _Copies, assessment: Assessment, *, known: bool = False) -> None:
    """Put a letter that came in into the message flow, unless it is `known` there or unwanted, and tell of its copies."""
    copies.trace = copies.enter(tx, prepared) if copies.wanted or copies.trace else flow.passing_id(tx)
    trace, head = copies.trace, prepared.summary.letterhead
    if not known:
        events.received(tx, trace, head, addresses, assessment)
    judgement.tell(tx, trace, head, copies.judged)
    for email, applied in copies.applied:
        events.mailbox_rule_applied(
            tx, trace, email, rule=applied.script, actions=applied.actions, folders=applied.folders, recipients=applied.recipients
        )
    for email, folder in copies.places:
        events.delivered(tx, trace, email, folder)


def _call_hooks(
    tx: Tx, envelope: Envelope, prepared: Prepared, copies: _Copies, addresses: Sequence[str], assessment: Assessment, *, recorded: bool
) -> None:
    """Note the calls that rules want for those to whom a letter has come."""
    rules = {address: copies.judged[address].rule for address in addresses if address in copies.judged}
    found = {address: rule for address, rule in rules.items() if rule is not None}
    if found:
        passing = Passing(envelope, copies.trace, prepared.summary.letterhead, assessment, recorded=recorded)
        hooks.post(tx, passing, lambda: copies.keep(tx, prepared), found)


def _confirmed(envelope: Envelope) -> Envelope:
    """Give an envelope of whose delivery nobody wants to hear any more (RFC 3461 §4.1)."""
    wishes = dict(envelope.wishes)
    for address, wish in envelope.wishes.items():
        if wish.success:
            wishes[address] = replace(wish, notify=",".join(word for word in wish.notify.split(",") if word != "SUCCESS") or "NEVER")
    return replace(envelope, wishes=wishes)


def _without_room(copies: _Copies, via: Mapping[str, Target], assessment: Assessment) -> dict[tuple[Assessment, Target], list[str]]:
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


def _wait_for_room(
    tx: Tx,
    passage: Passage,
    letters: Letters,
    target: Target,
    owners: Sequence[str],
    *,
    trace: str,
    assessment: Assessment,
    author: str = "",
) -> None:
    """Queue the copies of those without room; whoever wrote to a group hears nothing of its members (RFC 5321 §3.9.2)."""
    addresses = recipients.addresses_of(tx, owners)
    envelope = passage.envelope
    if target.group:
        envelope = replace(envelope, wishes={**envelope.wishes, **dict.fromkeys(addresses, Wish("NEVER"))})
    _wait(tx, envelope, letters.shared(target), addresses, author=author, trace=trace, assessment=assessment)


def _send_back(tx: Tx, envelope: Envelope, prepared: Prepared, copies: _Copies, assessment: Assessment) -> None:
    """Tell, and let the sender know, of those who do not want a letter that others get."""
    unwanted = {address: found for address, found in copies.judged.items() if found.fate is Fate.BOUNCE}
    judgement.send_back(tx, envelope, prepared, assessment, unwanted)
    for address, found in unwanted.items():
        events.refused(tx, copies.trace, address, reason=found.reason, status="5.7.1")


def _confirm(tx: Tx, envelope: Envelope, prepared: Prepared, copies: _Copies, assessment: Assessment, targets: Sequence[Target]) -> None:
    """Let a sender who wants that know of the recipients who have a letter by now."""
    delivered = {target.address: target.group for target in targets if target.group or not set(target.owners) <= set(copies.full)}
    judgement.confirm(tx, envelope, prepared, assessment, delivered)


def _depart(
    tx: Tx, envelope: Envelope, targets: Sequence[Target], prepared: Prepared, copies: _Copies, rules: Mapping[str, Rule], known: str
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


def _wait(
    tx: Tx,
    envelope: Envelope,
    prepared: Prepared,
    addresses: Iterable[str],
    *,
    author: str = "",
    trace: str,
    assessment: Assessment,
    hold: Hold | None = None,
    via: Mapping[str, str] | None = None,
) -> None:
    later = replace(envelope, recipients=tuple(addresses))
    if later.recipients:
        content = contents.keep(tx, prepared)
        sealer = "" if assessment.ours else recipients.home(tx, envelope.recipients)
        queue.enqueue(
            tx, later, content, size=prepared.size, author=author, trace=trace, assessment=assessment, hold=hold, via=via, sealer=sealer
        )
