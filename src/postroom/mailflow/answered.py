"""Does what a hook has said of a letter that has waited for it, in the one transaction in which the letter ceases to wait.

A letter that came in is delivered, returned or dropped as by a rule. One that a user sends goes on as if it had just been submitted. One
that a user's script sends on leaves, or does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import distribution, events, held, hooks, judgement, outgoing, queue, recipients
from postroom.mailflow.distribution import Answered
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.hooks import Call
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.recipients import Division
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Tx
from postroom.storage.queries import entities

UNKNOWN = "No such address here"
log = structlog.get_logger("postroom.mailflow")


def settle(
    tx: Tx, holder: str, call: Call, found: Mapping[str, Rule], added: Sequence[str], prepared: Prepared, terms: Terms = outgoing.USUAL
) -> bool:
    """Do what was found for each recipient, and let those `added` have the letter, too; False when another holder has the call by now."""
    if not hooks.done(tx, holder, call):
        return False
    known = {address.casefold() for address in found}
    new = [address for address in added if address.casefold() not in known]
    rules = {**found, **dict.fromkeys(new, replace(call.rule, action=Action.DEFAULT))}
    passing = call.passing
    wide = passing.envelope.international or not "".join(new).isascii()
    envelope = replace(passing.envelope, recipients=tuple(rules), international=wide)
    if call.rule.way is Way.INBOUND:
        _deliver(tx, call, envelope, rules, prepared, terms)
    elif passing.author:
        _send(tx, call, envelope, rules, prepared, terms)
    else:
        _send_on(tx, call, envelope, rules, prepared)
    return True


def _deliver(tx: Tx, call: Call, envelope: Envelope, rules: Mapping[str, Rule], prepared: Prepared, terms: Terms) -> None:
    """Deliver what came in; nobody elsewhere is reached so, and whoever has gone meanwhile is unknown."""
    passing = call.passing
    division = recipients.divide(tx, envelope.recipients)
    gone = [address for address in (*division.unknown, *division.elsewhere) if address in passing.envelope.recipients]
    here = Division(division.here, (), ())
    kept = replace(envelope, recipients=tuple(target.address for target in division.here))
    answered = Answered(passing.trace, rules, passing.recorded)
    distribution.distribute(tx, kept, here, prepared, assessment=passing.assessment, terms=terms, answered=answered)
    lost = [(address, UNKNOWN) for address in gone if rules[address].action not in (Action.DROP, Action.BOUNCE)]
    lost += [(address, rules[address].message or UNKNOWN) for address in gone if rules[address].action is Action.BOUNCE]
    judgement.give_back(tx, envelope, prepared, passing.assessment, lost)
    for address, reason in lost:
        events.refused(tx, passing.trace, address, reason=reason, status="5.1.1")


def _send(tx: Tx, call: Call, envelope: Envelope, rules: Mapping[str, Rule], prepared: Prepared, terms: Terms) -> None:
    """Let a user's letter go to those to whom it may; the user hears of the others."""
    passing = call.passing
    leaving = [address for address, rule in rules.items() if rule.action not in (Action.DROP, Action.BOUNCE)]
    division = recipients.divide(tx, leaving)
    rules = {**rules, **{address: replace(call.rule, action=Action.BOUNCE, message=UNKNOWN) for address in division.unknown}}
    division = replace(division, unknown=())
    answered = Answered(passing.trace, recorded=True)
    distribution.distribute(
        tx,
        envelope,
        division,
        prepared,
        author=passing.author,
        rules=rules,
        terms=terms,
        hold=held.find(tx, passing.author) if division.elsewhere else None,
        answered=answered,
    )
    author = _address(tx, passing.author) or passing.envelope.sender
    if author:
        judgement.return_to_author(tx, author, passing.envelope, prepared, rules)


def _send_on(tx: Tx, call: Call, envelope: Envelope, rules: Mapping[str, Rule], prepared: Prepared) -> None:
    """Let a letter that a script sends on leave for those for whom it may; its sender hears of those to whom it goes back."""
    passing = call.passing
    leaving = tuple(address for address, rule in rules.items() if rule.action not in (Action.DROP, Action.BOUNCE))
    judgement.tell_rules(tx, passing.trace, rules)
    for address in leaving:
        later = replace(envelope, recipients=(address,))
        hold = None if recipients.is_ours(tx, address.rpartition("@")[2]) else held.find(tx, passing.forwarder)
        content = contents.keep(tx, prepared)
        queue.enqueue(tx, later, content, size=prepared.size, assessment=passing.assessment, hold=hold, sealer=passing.sealer)
    back = [(address, rule.message) for address, rule in rules.items() if rule.action is Action.BOUNCE]
    judgement.give_back(tx, envelope, prepared, passing.assessment, back)


def _address(tx: Tx, user: str) -> str:
    found = entities.find(tx, user)
    return (found.email or "") if found is not None else ""
