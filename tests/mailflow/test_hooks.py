"""Calls that wait to be made: in which order, how often, and what an answer means for whom."""

import json
from dataclasses import replace
from typing import Any

import pytest

from postroom.formats.message import Letterhead
from postroom.mailbox import contents
from postroom.mailflow import hooks
from postroom.mailflow.assessment import OURS
from postroom.mailflow.envelopes import Envelope, Wish
from postroom.mailflow.hooks import Call, Passing, Unanswered
from postroom.model.organizations import Organization
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.mailflow.letters import letter

SCAN = Rule(Way.INBOUND, "scan", Action.LAMBDA, target="scan", waits=True, minutes=30, fallback=Action.JUNK)
TELL = Rule(Way.INBOUND, "tell", Action.LAMBDA, target="tell")
PEOPLE = ("alice@example.test", "bob@example.test", "Carol+x@example.test")
PASSING = Passing(Envelope("s@far.test", PEOPLE, wishes={PEOPLE[0]: Wish("NEVER")}), "trace", Letterhead("a@far.test", "", "hello"), OURS)


def posted(store: Store, rules: dict[str, Rule], passing: Passing = PASSING) -> int:
    with store.transaction(1) as tx:
        content = contents.keep(tx, contents.written(tx, letter()))
        hooks.post(tx, passing, lambda: content, rules)
    return content


def leased(store: Store, holder: str = "me") -> list[Call]:
    with store.transaction(1) as tx:
        return hooks.lease(tx, holder, 10)


def answer(*orders: Any) -> bytes:
    return json.dumps({"actions": [{"action": {"type": kind}, **rest} for kind, rest in orders]}).encode()


def actions(call: Call, *orders: Any) -> dict[str, str]:
    return {address: rule.action.value for address, rule in hooks.rulings(call, answer(*orders))[0].items()}


def test_each_rule_is_one_call_for_those_for_whom_it_decides(store: Store, organization: Organization) -> None:
    content = posted(store, {PEOPLE[0]: SCAN, PEOPLE[1]: TELL, PEOPLE[2]: SCAN})
    first, second = leased(store)
    assert (first.rule, first.passing.envelope.recipients, first.content) == (SCAN, (PEOPLE[0], PEOPLE[2]), content)
    assert (second.rule, second.passing.envelope.recipients) == (TELL, (PEOPLE[1],))
    assert replace(first.passing, envelope=PASSING.envelope) == PASSING
    assert first.passing.envelope.wish(PEOPLE[0]).notify == "NEVER"
    assert leased(store, "other") == []
    assert json.loads(first.event())["invocationId"] == first.invocation != second.invocation


def test_a_call_is_made_again_after_longer_and_longer_waits_until_its_time_is_over(
    store: Store, organization: Organization, clock: Clock
) -> None:
    posted(store, {PEOPLE[0]: SCAN})
    waits = []
    while True:
        (call,) = leased(store)
        if clock.now >= call.ends_at:
            break
        with store.transaction(1) as tx:
            hooks.again(tx, "me", call, "no\nanswer")
            wait = hooks.next_due(tx)
        assert wait is not None
        waits.append(wait)
        clock.advance(wait)
    assert waits[:6] == [5, 10, 20, 40, 80, 160]
    assert sum(waits) == 30 * 60
    assert (call.attempts, call.last_reply) == (len(waits), "no answer")


def test_what_could_not_be_done_in_time_is_tried_less_and_less_often(store: Store, organization: Organization, clock: Clock) -> None:
    posted(store, {PEOPLE[0]: replace(SCAN, minutes=0)})
    waits = []
    for _ in range(9):
        (call,) = leased(store)
        with store.transaction(1) as tx:
            hooks.again(tx, "me", call, "no room on the disk")
            waits.append(hooks.next_due(tx) or 0.0)
        clock.advance(waits[-1])
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]


def test_who_has_lost_a_call_settles_nothing(store: Store, organization: Organization, clock: Clock) -> None:
    posted(store, {PEOPLE[0]: SCAN})
    (mine,) = leased(store)
    clock.advance(hooks.LEASE + 1)
    (theirs,) = leased(store, "other")
    assert theirs.invocation == mine.invocation
    with store.transaction(1) as tx:
        hooks.again(tx, "me", mine, "late")
        assert not hooks.done(tx, "me", mine)
        hooks.reclaim(tx, "third")
        assert not hooks.done(tx, "other", theirs)
    (call,) = leased(store, "third")
    with store.transaction(1) as tx:
        assert hooks.done(tx, "third", call)
        assert hooks.next_due(tx) is None


def test_what_an_answer_says_for_whom(store: Store, organization: Organization) -> None:
    posted(store, dict.fromkeys(PEOPLE, SCAN))
    (call,) = leased(store)
    alice, bob, carol = PEOPLE
    everybody = {"allRecipients": True}
    assert actions(call) == dict.fromkeys(PEOPLE, "JUNK")
    assert actions(call, ("DEFAULT", everybody)) == dict.fromkeys(PEOPLE, "DEFAULT")
    assert actions(call, ("DROP", everybody), ("BYPASS_SPAM_CHECK", {"recipients": ["ALICE@Example.test"]})) == {
        alice: "NEVER_JUNK",
        bob: "DROP",
        carol: "DROP",
    }
    assert actions(call, ("DROP", {"recipients": [carol]}), ("BOUNCE", {"recipients": [carol, bob]})) == {
        alice: "JUNK",
        bob: "BOUNCE",
        carol: "DROP",
    }
    orders = [("DEFAULT", {"recipients": [f"{number}@example.test"]}) for number in range(10)]
    assert actions(call, *orders, ("DEFAULT", everybody)) == dict.fromkeys(PEOPLE, "JUNK")
    assert hooks.rulings(call, answer(*orders))[1] == tuple(f"{number}@example.test" for number in range(10))
    assert hooks.rulings(call, answer(("DROP", {"recipients": ["new@example.test"]}), ("DEFAULT", {"recipients": ["no address"]})))[1] == ()


def test_what_the_sender_of_a_bounce_is_told_is_plain(store: Store, organization: Organization) -> None:
    posted(store, dict.fromkeys(PEOPLE, replace(SCAN, message="Usual")))
    (call,) = leased(store)
    orders = [
        {"action": {"type": "BOUNCE", "parameters": {"bounceMessage": text}}, "recipients": [who]}
        for who, text in zip(PEOPLE, ("No\r\n\tway: \xe4", "x" * 900, ""), strict=True)
    ]
    found = hooks.rulings(call, json.dumps({"actions": orders}).encode())[0]
    assert [found[who].message for who in PEOPLE] == ["No way:", "x" * 400, "Usual"]


def test_letters_that_go_out_are_not_put_into_junk(store: Store, organization: Organization) -> None:
    posted(store, {PEOPLE[0]: Rule(Way.OUTBOUND, "out", Action.LAMBDA, target="scan", waits=True)})
    (call,) = leased(store)
    assert json.loads(call.event())["flowDirection"] == "OUTBOUND"
    for kind in ("MOVE_TO_JUNK", "BYPASS_SPAM_CHECK"):
        with pytest.raises(Unanswered, match=kind):
            hooks.rulings(call, answer((kind, {"allRecipients": True})))


def test_a_letter_that_waits_is_not_swept_away(store: Store, organization: Organization, clock: Clock) -> None:
    posted(store, {PEOPLE[0]: SCAN})
    clock.advance(86_400)
    with store.transaction(1) as tx:
        contents.sweep(tx, unused_for=60.0)
    (call,) = leased(store)
    with store.transaction(1) as tx:
        assert hooks.text(tx, call) == letter()
