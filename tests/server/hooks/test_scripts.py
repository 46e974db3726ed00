"""Outbound rules decide about what users' scripts send, too: redirected letters and automatic replies."""

import pytest

from postroom.mailflow import queue
from postroom.mailflow.events import MailEvent
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.hook_server import Hook, answer
from tests.mailflow.letters import letter, receive, send
from tests.mailflow.test_flow_rules import KNOWN, applied, queued
from tests.mailflow.test_sieve import activate, places
from tests.people import People
from tests.server.hooks.test_answers import LEAVING, put, waiting, working

ALICE = "alice@example.test"
REDIRECT = 'redirect "x@far.test"; redirect "y@other.test";'
VACATION = 'require "vacation"; vacation :addresses "alice@example.test" "away";'


def destinations(store: Store) -> list[str]:
    with store.transaction(1, write=False) as tx:
        return [row[7] for row in rows.behind(tx, 0, 100)]


@pytest.mark.parametrize("action", [Action.DROP, Action.BOUNCE])
def test_what_may_not_go_on_is_kept(store: Store, people: People, told: list[MailEvent], action: Action) -> None:
    put(store, Rule(Way.OUTBOUND, "no", action, ("alice@example.test",), ("far.test",)))
    activate(store, people, "alice", 'redirect "x@far.test";')
    activate(store, people, "bob", 'redirect "x@far.test";')
    receive(store, ALICE, "bob@example.test")
    assert (places(store, people, "alice"), places(store, people, "bob")) == ({"Inbox": [0]}, {})
    assert [recipient for _, recipient in queued(store)] == ["x@far.test"]
    assert applied(told)[0] == ("OUTBOUND_RULE", [{"action": action.value, "recipients": ["x@far.test"]}])


def test_a_gateway_takes_what_goes_on(store: Store, people: People) -> None:
    put(store, Rule(Way.OUTBOUND, "edge", Action.GATEWAY, destinations=("far.test",), target="edge"))
    activate(store, people, "alice", REDIRECT)
    receive(store, ALICE)
    assert destinations(store) == ["gateway:edge", "other.test"]


async def test_what_goes_on_waits_for_a_hook(store: Store, people: People, hook: Hook) -> None:
    put(store, LEAVING)
    hook.reply = lambda event: answer(("DEFAULT" if event["envelope"]["recipients"][0]["address"] == "x@far.test" else "BOUNCE", None))
    activate(store, people, "alice", REDIRECT)
    receive(store, ALICE, assessment=KNOWN)
    assert (queued(store), waiting(store), places(store, people, "alice")) == ([], 2, {})
    await working(store, hook).sweep()
    assert {(event["flowDirection"], event["envelope"]["mailFrom"]["address"]) for event in hook.events} == {
        ("OUTBOUND", "stranger@far.test")
    }
    assert queued(store)[0][1] == "x@far.test"
    assert (waiting(store), [one for _, one in queued(store)].count("y@other.test")) == (0, 0)


async def test_a_hook_is_told_of_what_goes_on(store: Store, people: People, hook: Hook) -> None:
    put(store, Rule(Way.OUTBOUND, "tell", Action.LAMBDA, target="scan"))
    activate(store, people, "alice", 'redirect "x@far.test";')
    receive(store, ALICE)
    assert [recipient for _, recipient in queued(store)] == ["x@far.test"]
    await working(store, hook).sweep()
    assert [event["envelope"]["recipients"] for event in hook.events] == [[{"address": "x@far.test"}]]


async def test_automatic_replies_are_letters_of_the_user(store: Store, people: People, hook: Hook) -> None:
    raw = letter(sender="bob@far.test", more="To: alice@example.test\r\n")
    put(store, Rule(Way.OUTBOUND, "no", Action.DROP, ("alice@example.test",), ("far.test",)))
    put(store, Rule(Way.OUTBOUND, "scan", Action.LAMBDA, ("bob@example.test",), target="scan", waits=True))
    activate(store, people, "alice", VACATION)
    activate(store, people, "bob", VACATION.replace("alice", "bob"))
    receive(store, ALICE, sender="bob@far.test", raw=raw)
    assert queued(store) == []
    receive(store, "bob@example.test", sender="bob@far.test", raw=raw.replace(b"alice", b"bob"))
    assert (queued(store), waiting(store)) == ([], 1)
    await working(store, hook).sweep()
    assert queued(store) == [("", "bob@far.test")]


@pytest.mark.parametrize(
    ("script", "sealer"),
    [
        ('redirect "x@far.test";', ""),
        ('require "editheader"; addheader "X-A" "b"; redirect "x@far.test";', "example.test"),
    ],
)
async def test_what_waited_for_a_hook_is_still_whose_it_was(store: Store, people: People, hook: Hook, script: str, sealer: str) -> None:
    """A colleague's letter is signed as it stands, one that a script has changed and a stranger's are not."""
    put(store, LEAVING)
    activate(store, people, "alice", script)
    send(store, people.actor("bob"), ALICE)
    receive(store, ALICE, assessment=KNOWN)
    await working(store, hook).sweep()
    with store.transaction(1) as tx:
        found = [(parcel.assessment.ours, parcel.sealer) for parcel in queue.behind(tx, 0, 10)]
    assert sorted(found) == sorted([(True, sealer), (False, "example.test")])
