"""Letters that wait for a hook over HTTP, and what becomes of them by its answer."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from postroom.directory import registration
from postroom.mailbox import contents
from postroom.mailflow import hooks, queue, submission
from postroom.mailflow.envelopes import Envelope, Wish
from postroom.mailflow.events import MailEvent
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.resolver import Resolver
from postroom.policy import flow_rules, journaling
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.server.hooks.calls import Calls
from postroom.server.hooks.settings import Settings as HookSettings
from postroom.server.hooks.worker import Hooking
from postroom.storage.engine import Store
from postroom.storage.queries import mailboxes
from tests.conftest import Clock, make_organization
from tests.hook_server import SECRET, Hook, answer
from tests.mailflow.letters import LIMITS, Raw, letter, receive, send
from tests.mailflow.test_disposition import SPAM
from tests.mailflow.test_flow_rules import KNOWN, applied, queued
from tests.mailflow.test_sieve import places
from tests.people import People, add_user, inbox

ALICE, BOB, CAROL = (f"{name}@example.test" for name in ("alice", "bob", "carol"))
SCAN = Rule(Way.INBOUND, "scan", Action.LAMBDA, target="scan", waits=True, minutes=30, fallback=Action.JUNK)
TELL = Rule(Way.INBOUND, "tell", Action.LAMBDA, target="scan")
LEAVING = replace(SCAN, way=Way.OUTBOUND, fallback=Action.BOUNCE)


def put(store: Store, rule: Rule, scope: int = 1) -> None:
    with store.transaction(scope) as tx:
        flow_rules.put(tx, rule)


def working(store: Store, hook: Hook, seconds: float = 5.0) -> Hooking:
    calls = Calls({"scan": HookSettings(url=hook.url, secret=SECRET)}, None, store.now, seconds)
    return Hooking(store, calls, seconds=seconds)


def waiting(store: Store, scope: int = 1) -> int:
    with store.transaction(scope, write=False) as tx:
        return len(hooks.waiting(tx, after=0, limit=100))


async def test_a_letter_waits_until_its_hook_has_answered(store: Store, people: People, hook: Hook, told: list[MailEvent]) -> None:
    put(store, SCAN)
    with store.transaction(1) as tx:
        tx.run("UPDATE domains SET test = 1 WHERE organization = :organization")
        journaling.start(tx, "records@archive.test", CAROL)
    receive(store, ALICE, BOB, raw=letter("hello", more="Sender: boss@far.test\r\n"))
    assert (inbox(store, 1, people.ids["alice"]), queued(store), waiting(store)) == ([], [], 1)
    assert [event.name for event in told] == ["ORGANIZATION_EMAIL_RECEIVED"]
    await working(store, hook).sweep()
    (event,) = hook.events
    assert event == {
        "summaryVersion": "2018-10-10",
        "envelope": {"mailFrom": {"address": "stranger@far.test"}, "recipients": [{"address": ALICE}, {"address": BOB}]},
        "sender": {"address": "boss@far.test"},
        "subject": "hello",
        "messageId": told[0].trace,
        "invocationId": hook.ids[0],
        "flowDirection": "INBOUND",
        "truncated": False,
    }
    assert (hook.forged, hook.paths, len(hook.ids[0])) == (0, ["/hook?a=b"], 32)
    assert [places(store, people, name) for name in ("alice", "bob")] == [{"Inbox": [0]}] * 2
    assert (waiting(store), queued(store)) == (0, [(CAROL, "records@archive.test")])
    assert applied(told) == [("INBOUND_RULE", [{"action": "DEFAULT", "recipients": [ALICE, BOB]}])]
    assert {event.trace for event in told} == {told[0].trace}
    assert b"Recipient: alice@example.test\r\nRecipient: bob@example.test" in content_of(store, 1)
    await working(store, hook).sweep()
    assert len(hook.events) == 1


def content_of(store: Store, scope: int) -> bytes:
    """Read the first letter of the queue."""
    with store.transaction(scope, write=False) as tx:
        return contents.read(tx, queue.behind(tx, 0, 1)[0].content)


async def test_each_recipient_has_an_answer_of_its_own(store: Store, people: People, hook: Hook, told: list[MailEvent]) -> None:
    put(store, SCAN)
    hook.reply = lambda event: answer(("MOVE_TO_JUNK", [ALICE]), ("BOUNCE", [BOB]), ("DEFAULT", ["ally@example.test", CAROL, "x@far.test"]))
    receive(store, ALICE, BOB, assessment=KNOWN)
    await working(store, hook).sweep()
    assert [places(store, people, name) for name in ("alice", "bob", "carol")] == [{"Junk Email": [0]}, {}, {"Inbox": [0]}]
    assert queued(store) == [("", "stranger@far.test")]
    assert b"No, by the hook" in content_of(store, 1)
    (refused,) = [event.fields["bouncedRecipient"] for event in told if event.name == "INCOMING_EMAIL_BOUNCED"]
    assert refused == {"emailAddress": BOB, "reason": "No, by the hook", "status": "5.7.1"}


async def test_whom_nothing_is_said_of_has_the_fallback(store: Store, people: People, hook: Hook) -> None:
    put(store, SCAN)
    hook.reply = lambda event: answer(("DROP", [ALICE]))
    receive(store, ALICE, BOB)
    await working(store, hook).sweep()
    assert [places(store, people, name) for name in ("alice", "bob")] == [{}, {"Junk Email": [0]}]


async def test_spam_may_be_let_through(store: Store, people: People, hook: Hook) -> None:
    put(store, SCAN)
    hook.reply = lambda event: answer(("BYPASS_SPAM_CHECK", [ALICE]), ("DEFAULT", [BOB]))
    receive(store, ALICE, BOB, assessment=SPAM)
    await working(store, hook).sweep()
    assert [places(store, people, name) for name in ("alice", "bob")] == [{"Inbox": [0]}, {"Junk Email": [0]}]


@pytest.mark.parametrize(
    "reply",
    [
        (500, {}, b""),
        (302, {"Location": "/elsewhere"}, b'{"actions": []}'),
        (200, {}, b"not JSON"),
        (200, {}, b'{"actions": [{"action": {"type": "DELETE"}, "allRecipients": true}]}'),
        (200, {}, b'{"actions": []}' + b" " * 262_144),
    ],
    ids=["error", "redirect", "nonsense", "unknown", "long"],
)
async def test_what_is_no_answer_is_asked_for_again_and_then_the_fallback_is_done(
    store: Store, people: People, hook: Hook, clock: Clock, reply: Any
) -> None:
    put(store, replace(SCAN, minutes=1))
    hook.reply = lambda event: reply
    receive(store, ALICE)
    worker, began = working(store, hook), clock.now
    while waiting(store):
        await worker.sweep()
        assert not waiting(store) or places(store, people, "alice") == {}
        with store.transaction(1, write=False) as tx:
            clock.advance(hooks.next_due(tx) or 0.0)
    assert (places(store, people, "alice"), clock.now - began) == ({"Junk Email": [0]}, 60)
    assert (len(set(hook.ids)), len(hook.ids), set(hook.paths)) == (1, 5, {"/hook?a=b"})
    assert [event["messageId"] for event in hook.events] == [hook.events[0]["messageId"]] * 5


async def test_a_rule_without_patience_has_its_fallback_after_one_call(store: Store, people: People, hook: Hook) -> None:
    put(store, replace(SCAN, minutes=0, fallback=Action.DROP))
    hook.reply = lambda event: (503, {}, b"")
    receive(store, ALICE)
    await working(store, hook).sweep()
    assert (places(store, people, "alice"), waiting(store), len(hook.events)) == ({}, 0, 1)


async def test_a_hook_that_says_nothing_is_cut_off_and_one_of_others_goes_on(
    store: Store, people: People, hook: Hook, clock: Clock
) -> None:
    ended = threading.Event()
    put(store, SCAN)
    hook.reply = lambda event: ((ended.wait(20) and 200) or 500, {}, b"")
    receive(store, ALICE)
    await working(store, hook, seconds=0.3).sweep()
    ended.set()
    with store.transaction(1, write=False) as tx:
        ((call, _),) = hooks.waiting(tx, after=0, limit=9)
    assert (call.attempts, call.last_reply) == (1, "The hook does not answer: it took more than 0.3 seconds")


async def test_a_hook_that_is_told_keeps_nobody_waiting(
    store: Store, people: People, hook: Hook, told: list[MailEvent], clock: Clock
) -> None:
    put(store, TELL)
    hook.reply = lambda event: (500, {}, b"") if len(hook.events) == 1 else answer(("DROP", None))
    receive(store, ALICE)
    assert (places(store, people, "alice"), waiting(store)) == ({"Inbox": [0]}, 1)
    assert applied(told) == [("INBOUND_RULE", [{"action": "LAMBDA", "recipients": [ALICE]}])]
    worker = working(store, hook)
    await worker.sweep()
    assert waiting(store) == 1
    clock.advance(hooks.FIRST_WAIT)
    await worker.sweep()
    assert (places(store, people, "alice"), waiting(store), len(set(hook.ids))) == ({"Inbox": [0]}, 0, 1)


async def test_what_a_user_sends_leaves_by_the_answer(store: Store, people: People, hook: Hook, told: list[MailEvent]) -> None:
    put(store, LEAVING)
    hook.reply = lambda event: answer(
        ("DROP", ["x@far.test"]), ("BOUNCE", ["y@far.test"]), ("DEFAULT", ["archive@far.test"]), ("DEFAULT", None)
    )
    send(store, people.actor("alice"), "x@far.test", "y@far.test", "z@far.test", BOB)
    assert (queued(store), places(store, people, "bob")) == ([], {})
    assert [event.name for event in told] == ["OUTGOING_EMAIL_SUBMITTED"]
    await working(store, hook).sweep()
    assert (hook.events[0]["flowDirection"], hook.events[0]["messageId"]) == ("OUTBOUND", told[0].trace)
    assert queued(store) == [(ALICE, "z@far.test"), (ALICE, "archive@far.test"), ("", ALICE)]
    assert places(store, people, "bob") == {"Inbox": [0]}
    assert [(event.name, event.fields.get("recipient")) for event in told if event.name == "OUTGOING_EMAIL_SENT"] == [
        ("OUTGOING_EMAIL_SENT", BOB)
    ]
    bounced = [event.fields["bouncedRecipient"] for event in told if event.name == "OUTGOING_EMAIL_BOUNCED"]
    assert bounced == [{"emailAddress": "y@far.test", "reason": "No, by the hook", "status": "5.7.1"}]
    assert [action["action"] for _, actions in applied(told) for action in actions] == ["DROP", "BOUNCE", "DEFAULT"]


async def test_letters_of_another_organization_wait_here_too(store: Store, people: People, hook: Hook, told: list[MailEvent]) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        dave = add_user(tx, "dave", other.default_domain)
    put(store, SCAN, scope=2)
    send(store, people.actor("alice"), "dave@other.test")
    await Carrier(store, Resolver(["127.0.0.1:9"]), Settings(hostname="mx.example.test")).sweep()
    assert (queued(store), waiting(store, 2), inbox(store, 2, dave)) == ([], 1, [])
    await working(store, hook).sweep()
    assert (waiting(store, 2), len(inbox(store, 2, dave))) == (0, 1)
    assert [event.name for event in told if event.scope == 2] == ["ORGANIZATION_EMAIL_RECEIVED", "RULE_APPLIED", "MAILBOX_EMAIL_DELIVERED"]


@pytest.mark.parametrize(("said", "confirmed"), [("DEFAULT", [1]), ("DROP", [])])
async def test_a_delivery_is_confirmed_once_and_only_where_there_is_one(
    store: Store, people: People, hook: Hook, said: str, confirmed: list[int]
) -> None:
    hook.reply = lambda event: answer((said, None))
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", other.default_domain)
    put(store, SCAN, scope=2)
    actor = people.actor("alice")
    prepared = submission.prepare(store, actor, Raw(letter(sender=ALICE)), LIMITS)
    envelope = Envelope(ALICE, ("dave@other.test",), wishes={"dave@other.test": Wish("SUCCESS,FAILURE")})
    with store.transaction(1) as tx:
        submission.submit(tx, actor, envelope, prepared)
    carrier = Carrier(store, Resolver(["127.0.0.1:9"]), Settings(hostname="mx.example.test"))
    await carrier.sweep()
    assert inbox(store, 1, people.ids["alice"]) == []
    await working(store, hook).sweep()
    await carrier.sweep()
    assert [raw.count(b"Action: delivered") for raw in inbox(store, 1, people.ids["alice"])] == confirmed


async def test_a_letter_without_room_keeps_the_answer_and_is_not_asked_about_again(store: Store, people: People, hook: Hook) -> None:
    put(store, SCAN)
    hook.reply = lambda event: answer(("MOVE_TO_JUNK", None))
    receive(store, CAROL, ALICE)
    with store.transaction(1) as tx:
        mailboxes.set_quota(tx, people.ids["carol"], 0)
    await working(store, hook).sweep()
    assert (places(store, people, "carol"), queued(store)) == ({}, [("stranger@far.test", CAROL)])
    with store.transaction(1) as tx:
        mailboxes.set_quota(tx, people.ids["carol"], 1)
    await Carrier(store, Resolver(["127.0.0.1:9"]), Settings(hostname="mx.example.test")).sweep()
    assert (places(store, people, "carol"), queued(store), waiting(store), len(hook.events)) == ({"Junk Email": [0]}, [], 0, 1)


async def test_whoever_has_gone_meanwhile_is_told_of_to_the_sender(store: Store, people: People, hook: Hook) -> None:
    put(store, SCAN)
    receive(store, ALICE, BOB, assessment=KNOWN)
    with store.transaction(1) as tx:
        registration.deregister(tx, people.ids["bob"])
    await working(store, hook).sweep()
    assert (places(store, people, "alice"), queued(store)) == ({"Inbox": [0]}, [("", "stranger@far.test")])


async def test_a_hook_that_nobody_knows_does_not_answer(store: Store, people: People, hook: Hook) -> None:
    put(store, replace(SCAN, target="gone", minutes=0))
    put(store, replace(LEAVING, target="arn:aws:lambda:eu-west-1:123456789012:function:scan", minutes=0))
    receive(store, ALICE)
    send(store, people.actor("bob"), "x@far.test")
    await working(store, hook).sweep()
    assert (places(store, people, "alice"), queued(store), hook.events) == ({"Junk Email": [0]}, [("", BOB)], [])


async def test_many_letters_are_called_about_a_few_at_a_time(store: Store, people: People, hook: Hook) -> None:
    turn, at_once, most = threading.Lock(), 0, 0

    def reply(event: dict[str, Any]) -> Any:
        nonlocal at_once, most
        with turn:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.02)
        with turn:
            at_once -= 1
        return answer(("DEFAULT", None))

    put(store, SCAN)
    hook.reply = reply
    for number in range(12):
        receive(store, ALICE, raw=letter(f"n{number}"))
    await working(store, hook).sweep()
    assert (waiting(store), len(inbox(store, 1, people.ids["alice"])), len(set(hook.ids))) == (0, 12, 12)
    assert 1 < most <= 4


def test_a_waiting_letter_is_written_down_in_plain_json(store: Store, people: People) -> None:
    put(store, SCAN)
    receive(store, ALICE)
    with store.transaction(1, write=False) as tx:
        (text,) = tx.one("SELECT details FROM hook_calls WHERE organization = :organization") or ("",)
    assert json.loads(text)["passing"]["envelope"]["recipients"] == [ALICE]
