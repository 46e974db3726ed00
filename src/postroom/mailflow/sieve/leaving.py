"""What a user's script sends leaves by the organization's outbound rules, as what the user sends does.

Rules know such a letter by the user's own address, whoever has written it.
"""

from collections.abc import Iterable, Mapping

from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import flow, hooks, judgement, queue
from postroom.mailflow.assessment import OURS, Assessment
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.flow import Direction
from postroom.mailflow.hooks import Passing
from postroom.mailflow.queue import LIFETIME, Hold
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Tx


def find(tx: Tx, owner: str, targets: Iterable[str]) -> dict[str, Rule]:
    """Find the rules that decide about what a user's script sends, by recipient; `owner` is the user's address."""
    return judgement.decided(flow_rules.page(tx, Way.OUTBOUND), flow_rules.key(owner), targets)


def permitted(tx: Tx, rules: Mapping[str, Rule], targets: Iterable[str]) -> tuple[str, ...]:
    """Give those to whom rules let something go, and tell of the others."""
    held = {address: rule for address, rule in rules.items() if rule.action in (Action.DROP, Action.BOUNCE)}
    if held:
        judgement.tell_rules(tx, flow.passing_id(tx), held)
    return tuple(address for address in targets if address not in held)


def send(
    tx: Tx,
    envelope: Envelope,
    prepared: Prepared,
    rule: Rule | None,
    *,
    owner: str,
    author: str = "",
    assessment: Assessment = OURS,
    hold: Hold | None = None,
    sealer: str = "",
    lifetime: float = LIFETIME,
) -> None:
    """Queue a letter to somebody, or let it wait for a hook; `owner` is the id of the user whose script sends it."""
    content, known = contents.keep(tx, prepared), dict[str, Rule]()
    if rule is not None:
        known = dict.fromkeys(envelope.recipients, rule)
        called = rule.action is Action.LAMBDA
        trace = flow.enter(tx, content, Direction.OUTGOING) if called else flow.passing_id(tx)
        judgement.tell_rules(tx, trace, known)
        passing = Passing(envelope, trace, prepared.summary.letterhead, assessment, forwarder=owner, sealer=sealer)
        hooks.post(tx, passing, lambda: content, known)
        if judgement.waits(rule):
            return
    queue.enqueue(
        tx,
        envelope,
        content,
        size=prepared.size,
        author=author,
        assessment=assessment,
        lifetime=lifetime,
        via=judgement.ways(known),
        hold=hold,
        sealer=sealer,
    )
