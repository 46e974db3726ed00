"""Judging a letter within the transaction that delivers it: what the organization has settled is looked up, and what came of it is told."""

from collections.abc import Iterable, Mapping, Sequence

from postroom.formats import compose
from postroom.formats.message import Letterhead
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import disposition, events, queue
from postroom.mailflow.assessment import Assessment, Policy
from postroom.mailflow.disposition import Circumstances, Disposition
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.routes import GATEWAY
from postroom.mailflow.trace import without_return_path
from postroom.policy import dmarc, flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Tx


def look_up(tx: Tx, envelope: Envelope, head: Letterhead, assessment: Assessment, *, refusing: bool = False) -> Circumstances:
    """Look up by what a letter is to be judged in this organization; rules have no say about our own reports and answers."""
    enforced = disposition.asked(assessment) is not Policy.NONE and dmarc.dmarc_enforced(tx)
    ours = assessment.authentication is None and not envelope.sender
    rules = () if ours else tuple(flow_rules.page(tx, Way.INBOUND))
    return Circumstances(assessment, enforced, refusing, rules, author(head) if rules else "")


def outgoing(tx: Tx, head: Letterhead, recipients: Iterable[str]) -> dict[str, Rule]:
    """Find the rules that decide about a letter that goes out, by recipient."""
    rules = flow_rules.page(tx, Way.OUTBOUND)
    if not rules:
        return {}
    found = {address: flow_rules.decide(rules, author(head), flow_rules.key(address)) for address in recipients}
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
    sender = envelope.sender
    if not refusals or not disposition.returnable(assessment, sender):
        return False
    raw = without_return_path(contents.read(tx, contents.keep(tx, prepared)))
    report(tx, sender, raw, refusals, domain=refusals[0][0].rpartition("@")[2])
    return True


def return_to_author(tx: Tx, author: str, prepared: Prepared, rules: Mapping[str, Rule]) -> None:
    """Queue a report to the user who has sent a letter about recipients to whom a rule does not let it go."""
    refusals = [(address, rule.message or flow_rules.DEFAULT_MESSAGE) for address, rule in rules.items() if rule.action is Action.BOUNCE]
    if refusals:
        raw = without_return_path(contents.read(tx, contents.keep(tx, prepared)))
        report(tx, author, raw, refusals, domain=author.rpartition("@")[2])


def report(tx: Tx, sender: str, raw: bytes, refusals: Sequence[tuple[str, str]], *, domain: str) -> None:
    """Queue a report of a domain, with the null reverse-path, about recipients that do not get a letter, and why."""
    text = compose.report(
        reporting_mta=domain,
        sender=f"mailer-daemon@{domain}",
        recipient=sender,
        outcomes=[compose.Outcome(recipient=address, action="failed", status="5.7.1", diagnostic=reason) for address, reason in refusals],
        original=raw,
        now=tx.now,
    )
    text = b"Return-Path: <>\r\n" + text
    prepared = contents.written(tx, text)
    envelope = Envelope("", (sender,), eight_bit=not text.isascii(), international=not sender.isascii())
    queue.enqueue(tx, envelope, contents.keep(tx, prepared), size=prepared.size)
