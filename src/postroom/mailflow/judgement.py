"""Judging a letter within the transaction that delivers it: what the organization has settled is looked up, and what came of it is told."""

from collections.abc import Iterable, Mapping, Sequence

from postroom.formats import compose
from postroom.formats.message import Letterhead
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import disposition, events, queue
from postroom.mailflow.assessment import OURS, Assessment, Policy
from postroom.mailflow.disposition import Circumstances, Disposition
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.routes import GATEWAY
from postroom.mailflow.trace import without_return_path
from postroom.policy import dmarc, flow_rules, journaling
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Tx


def look_up(tx: Tx, envelope: Envelope, head: Letterhead, assessment: Assessment, *, refusing: bool = False) -> Circumstances:
    """Look up by what a letter is to be judged in this organization; rules have no say about our own reports, answers and records."""
    enforced = disposition.asked(assessment) is not Policy.NONE and dmarc.dmarc_enforced(tx)
    ours = assessment.ours and (not envelope.sender or head.author.startswith(f"{journaling.NAME}@"))
    rules = () if ours else tuple(flow_rules.page(tx, Way.INBOUND))
    return Circumstances(assessment, enforced, refusing, rules, author(head) if rules else "")


def outgoing(tx: Tx, head: Letterhead, recipients: Iterable[str]) -> dict[str, Rule]:
    """Find the rules that decide about a letter that goes out, by recipient."""
    rules = flow_rules.page(tx, Way.OUTBOUND)
    return decided(rules, author(head), recipients) if rules else {}


def decided(rules: Sequence[Rule], sender: str, recipients: Iterable[str]) -> dict[str, Rule]:
    """Find which of some rules decides about a letter, by recipient; `sender` is a key, as `flow_rules.key` gives it."""
    found = {address: flow_rules.decide(rules, sender, flow_rules.key(address)) for address in recipients}
    return {address: rule for address, rule in found.items() if rule is not None}


def waits(rule: Rule) -> bool:
    """Say whether letters stay until a hook has spoken."""
    return rule.action is Action.LAMBDA and rule.waits


def ways(rules: Mapping[str, Rule]) -> dict[str, str]:
    """Give the next hops of those to whom rules send by way of a gateway."""
    return {address: f"{GATEWAY}{rule.target}" for address, rule in rules.items() if rule.action is Action.GATEWAY}


def author(head: Letterhead) -> str:
    """Give the address by which rules know a letter, the one in Sender before the one in From."""
    return flow_rules.key(head.sender or head.author)


def tell(tx: Tx, trace: str, head: Letterhead, judged: Mapping[str, Disposition]) -> None:
    """Tell what has been applied to a letter on its way to addresses here."""
    for policy in (Policy.QUARANTINE, Policy.REJECT):
        hit = [address for address, found in judged.items() if found.policy is policy]
        if hit:
            events.dmarc_policy_applied(tx, trace, head, hit, policy)
    tell_rules(tx, trace, {address: found.rule for address, found in judged.items() if found.rule is not None})


def tell_rules(tx: Tx, trace: str, rules: Mapping[str, Rule]) -> None:
    """Tell which rules have decided about which recipients; one that waits for a hook has not yet."""
    for rule in dict.fromkeys(rule for rule in rules.values() if not waits(rule)):
        events.rule_applied(tx, trace, rule, [address for address, found in rules.items() if found == rule])


def send_back(tx: Tx, envelope: Envelope, prepared: Prepared, assessment: Assessment, judged: Mapping[str, Disposition]) -> bool:
    """Queue a report to the sender of a letter about those who do not want it; False when there is nobody who may be told."""
    return give_back(tx, envelope, prepared, assessment, [(address, found.reason) for address, found in judged.items()])


def give_back(tx: Tx, envelope: Envelope, prepared: Prepared, assessment: Assessment, refusals: Sequence[tuple[str, str]]) -> bool:
    """Queue a report to the sender of a letter about recipients who do not get it, and why; False when there is nobody who may be told."""
    told = [(address, reason) for address, reason in refusals if envelope.wish(address).failure]
    if not told or not disposition.returnable(assessment, envelope.sender):
        return False
    report(tx, envelope.sender, _raw(tx, prepared), told, domain=told[0][0].rpartition("@")[2], envelope=envelope)
    return True


def confirm(tx: Tx, envelope: Envelope, prepared: Prepared, assessment: Assessment, delivered: Mapping[str, bool]) -> None:
    """Queue reports to a sender who wants to hear of deliveries; `delivered` says which recipients are groups (RFC 3461 §6.2)."""
    wanted = {address: group for address, group in delivered.items() if envelope.wish(address).success}
    if not wanted or not disposition.returnable(assessment, envelope.sender):
        return
    raw = _raw(tx, prepared)
    for action, group in (("delivered", False), ("expanded", True)):
        told = [(address, "") for address, found in wanted.items() if found is group]
        if told:
            report(tx, envelope.sender, raw, told, domain=told[0][0].rpartition("@")[2], envelope=envelope, action=action)


def return_to_author(tx: Tx, author: str, envelope: Envelope, prepared: Prepared, rules: Mapping[str, Rule]) -> None:
    """Queue a report to the user who has sent a letter about recipients to whom a rule does not let it go."""
    refusals = [(address, rule.message or flow_rules.DEFAULT_MESSAGE) for address, rule in rules.items() if rule.action is Action.BOUNCE]
    told = [(address, reason) for address, reason in refusals if envelope.wish(address).failure]
    if told:
        report(tx, author, _raw(tx, prepared), told, domain=author.rpartition("@")[2], envelope=envelope)


def _raw(tx: Tx, prepared: Prepared) -> bytes:
    return without_return_path(contents.read(tx, contents.keep(tx, prepared)))


def report(
    tx: Tx, sender: str, raw: bytes, told: Sequence[tuple[str, str]], *, domain: str, envelope: Envelope, action: str = "failed"
) -> None:
    """Queue a report of a domain, with the null reverse-path, about recipients of a letter, each with the reason if it failed."""
    status = "5.7.1" if action == "failed" else "2.0.0"
    text = compose.report(
        reporting_mta=domain,
        sender=f"mailer-daemon@{domain}",
        recipient=sender,
        outcomes=[
            compose.Outcome(
                recipient=address,
                action=action,
                status=status,
                diagnostic=reason,
                original_recipient=envelope.wish(address).shown,
            )
            for address, reason in told
        ],
        original=raw,
        now=tx.now,
        whole=action == "failed" and envelope.comes_back_whole(len(raw)),
        envelope_id=envelope.shown_id,
    )
    text = b"Return-Path: <>\r\n" + text
    prepared = contents.written(tx, text)
    way = Envelope("", (sender,), eight_bit=not text.isascii(), international=not sender.isascii(), require_tls=envelope.require_tls)
    queue.enqueue(tx, way, contents.keep(tx, prepared), size=prepared.size, assessment=OURS, lifetime=queue.SHORT_LIFETIME)
