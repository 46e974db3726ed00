"""Flow rules at work: for each recipient of what comes in and of what goes out."""

from typing import Any

import pytest

from postroom.mailflow.assessment import Assessment, Authentication, Content, Policy, Result, Spf, Verdict
from postroom.mailflow.events import MailEvent
from postroom.model import errors
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import make_organization
from tests.mailflow.conftest import MakeCarrier
from tests.mailflow.letters import letter, receive, send
from tests.mailflow.test_disposition import SPAM, forged
from tests.mailflow.test_sieve import places
from tests.people import People, add_user, inbox

KNOWN = Assessment(Authentication(spf=Spf(Result.PASS, "far.test")))
UNKNOWN = Assessment(Authentication(spf=Spf(Result.NONE, "far.test")))


@pytest.fixture
def told(store: Store) -> list[MailEvent]:
    """What transactions tell."""
    events: list[Any] = []
    store.notifier.record(events.extend)
    return events


def put(store: Store, action: Action, *senders: str, to: tuple[str, ...] = ("*",), way: Way = Way.INBOUND, scope: int = 1) -> None:
    with store.transaction(scope) as tx:
        flow_rules.put(tx, Rule(way, action.value.lower(), action, senders or ("*",), to, "Go away" if action is Action.BOUNCE else ""))


def queued(store: Store, scope: int = 1) -> list[tuple[str, str]]:
    with store.transaction(scope, write=False) as tx:
        return [(row[6], row[2]) for row in rows.page(tx, after=0, limit=100)]


def applied(told: list[MailEvent]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(event.fields["ruleType"], event.fields["ruleActions"]) for event in told if event.name == "RULE_APPLIED"]


def test_each_recipient_has_a_rule_of_its_own(store: Store, people: People, told: list[MailEvent]) -> None:
    put(store, Action.DROP, to=("alice@example.test",))
    put(store, Action.JUNK, to=("bob@example.test",))
    receive(store, "alice+x@example.test", "bob@example.test", "carol@example.test")
    assert [places(store, people, name) for name in ("alice", "bob", "carol")] == [{}, {"Junk Email": [0]}, {"Inbox": [0]}]
    assert applied(told) == [
        ("INBOUND_RULE", [{"action": "DROP", "recipients": ["alice+x@example.test"]}]),
        ("INBOUND_RULE", [{"action": "MOVE_TO_JUNK", "recipients": ["bob@example.test"]}]),
    ]
    assert len({event.trace for event in told}) == 1


def test_who_is_reached_by_two_addresses_gets_what_is_let_through(store: Store, people: People) -> None:
    put(store, Action.DROP, to=("alice@example.test",))
    receive(store, "alice@example.test", "staff@example.test")
    assert places(store, people, "alice") == {"Inbox": [0]}


def test_the_sender_line_stands_before_from(store: Store, people: People) -> None:
    put(store, Action.DROP, "boss@far.test")
    receive(store, "alice@example.test", sender="s@far.test", raw=letter(sender="s@far.test", more="Sender: Boss@far.test\r\n"))
    receive(store, "bob@example.test", sender="boss@far.test", raw=letter(sender="boss@far.test", more="Sender: s@far.test\r\n"))
    assert [places(store, people, name) for name in ("alice", "bob")] == [{}, {"Inbox": [0]}]


def test_never_junk_stands_above_spam_alone(store: Store, people: People) -> None:
    put(store, Action.NEVER_JUNK, "far.test")
    receive(store, "alice@example.test", assessment=SPAM)
    receive(store, "bob@example.test", assessment=Assessment(content=Content(malware=Verdict.FAIL)))
    receive(store, "carol@example.test", assessment=forged(Policy.QUARANTINE))
    assert [places(store, people, name) for name in ("alice", "bob", "carol")] == [{"Inbox": [0]}, {"Junk Email": [0]}, {"Junk Email": [0]}]


def test_what_goes_back_to_all_is_refused_in_the_answer(store: Store, people: People) -> None:
    put(store, Action.BOUNCE)
    with pytest.raises(errors.LetterRefused, match="Go away"):
        receive(store, "alice@example.test", "bob@example.test")
    assert places(store, people, "alice") == {}


@pytest.mark.parametrize(("known", "reported"), [(KNOWN, True), (UNKNOWN, False)])
def test_what_goes_back_for_some_is_reported_to_who_is_known(
    store: Store, people: People, told: list[MailEvent], known: Assessment, reported: bool
) -> None:
    put(store, Action.BOUNCE, to=("alice@example.test",))
    receive(store, "alice@example.test", "bob@example.test", assessment=known)
    assert (places(store, people, "alice"), places(store, people, "bob")) == ({}, {"Inbox": [0]})
    assert queued(store) == ([("", "stranger@far.test")] if reported else [])
    (refused,) = [event.fields["bouncedRecipient"] for event in told if event.name == "INCOMING_EMAIL_BOUNCED"]
    assert refused == {"emailAddress": "alice@example.test", "reason": "Go away", "status": "5.7.1"}


async def test_rules_of_another_organization_decide_there(
    store: Store, people: People, make_carrier: MakeCarrier, told: list[MailEvent]
) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        dave, erin = (add_user(tx, name, other.default_domain) for name in ("dave", "erin"))
    put(store, Action.BOUNCE, to=("dave@other.test",), scope=2)
    put(store, Action.DROP, to=("erin@other.test",), scope=2)
    send(store, people.actor("alice"), "dave@other.test", "erin@other.test")
    await make_carrier().sweep()
    assert (inbox(store, 2, dave), inbox(store, 2, erin), queued(store), queued(store, 2)) == ([], [], [], [])
    (report,) = inbox(store, 1, people.ids["alice"])
    assert b"Status: 5.7.1" in report
    assert b"Go away" in report
    assert [actions[0]["action"] for _, actions in applied(told)] == ["BOUNCE", "DROP"]


async def test_our_own_reports_are_nobodys_to_drop(store: Store, people: People, make_carrier: MakeCarrier) -> None:
    make_organization(store, number=2, alias="other")
    put(store, Action.DROP)
    send(store, people.actor("alice"), "gone@other.test")
    await make_carrier().sweep()
    assert [b"multipart/report" in raw for raw in inbox(store, 1, people.ids["alice"])] == [True]


async def test_what_users_send_is_dropped_or_comes_back(
    store: Store, people: People, told: list[MailEvent], make_carrier: MakeCarrier
) -> None:
    put(store, Action.DROP, "alice@example.test", to=("far.test",), way=Way.OUTBOUND)
    put(store, Action.BOUNCE, "alice@example.test", to=("*.near.test", "bob@example.test"), way=Way.OUTBOUND)
    send(store, people.actor("alice"), "x@far.test", "y@near.test", "z@third.test", "bob@example.test", "carol@example.test")
    assert queued(store) == [("alice@example.test", "z@third.test"), ("", "alice@example.test")]
    assert (places(store, people, "bob"), places(store, people, "carol")) == ({}, {"Inbox": [0]})
    assert told[0].fields["recipients"] == ("x@far.test", "y@near.test", "z@third.test", "bob@example.test", "carol@example.test")
    assert applied(told) == [
        ("OUTBOUND_RULE", [{"action": "DROP", "recipients": ["x@far.test"]}]),
        ("OUTBOUND_RULE", [{"action": "BOUNCE", "recipients": ["y@near.test", "bob@example.test"]}]),
    ]
    bounced = [event.fields["bouncedRecipient"]["emailAddress"] for event in told if event.name == "OUTGOING_EMAIL_BOUNCED"]
    assert bounced == ["y@near.test", "bob@example.test"]


def test_a_letter_that_goes_to_nobody_is_taken_and_told(store: Store, people: People, told: list[MailEvent]) -> None:
    put(store, Action.DROP, way=Way.OUTBOUND)
    send(store, people.actor("alice"), "x@far.test")
    assert queued(store) == []
    assert [event.name for event in told] == ["OUTGOING_EMAIL_SUBMITTED", "RULE_APPLIED"]
    send(store, people.actor("bob"), "carol@example.test")
    assert places(store, people, "carol") == {}
