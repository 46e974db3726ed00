"""Mail that was held back goes on, or goes away; and what happens to its sender then."""

import pytest

from postroom.mailflow import held, interventions, queue
from postroom.mailflow.outgoing import Terms
from postroom.policy import spikes
from postroom.storage.engine import Store
from postroom.storage.queries import destinations, senders
from postroom.storage.queries import queue as rows
from tests.conftest import Clock
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import letter, send
from tests.mailflow.test_outgoing import queued
from tests.people import People

NOW = Terms(spikes=spikes.Settings(least=1))


def suspected(store: Store, people: People, letters: int = 3) -> str:
    """Have alice write to two recipients a letter until nothing more leaves; gives her id."""
    for number in range(letters):
        send(store, people.actor("alice"), f"a{number}@far.test", f"b{number}@farther.test", terms=NOW)
    return people.ids["alice"]


def all_of(store: Store, step: object, *values: object) -> list[int]:
    counts = []
    while True:
        with store.transaction(1) as tx:
            counts.append(step(tx, *values))  # type: ignore[operator]
        if not counts[-1]:
            return counts


async def test_released_it_leaves(
    store: Store, people: People, make_carrier: MakeCarrier, open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    elsewhere = await open_elsewhere()
    alice = await store.run(suspected, store, people)
    carrier = make_carrier(smarthost=f"{elsewhere.host}:{elsewhere.port}")
    await carrier.sweep()
    assert elsewhere.got == []
    clock.advance(queue.LIFETIME + 1)
    await carrier.sweep()
    assert elsewhere.got == []
    with store.transaction(1) as tx:
        assert held.count(tx, alice) == 6
        spikes.trust(tx, alice, tx.now + 60, "released")
    assert await store.run(all_of, store, held.release, alice) == [6, 0]
    await carrier.sweep()
    gone = sorted(address for _, recipients, _ in elsewhere.got for address in recipients)
    assert gone == [*(f"a{at}@far.test" for at in range(3)), *(f"b{at}@farther.test" for at in range(3))]
    assert queued(store) == []


async def test_it_has_its_whole_time_then(
    store: Store, people: People, make_carrier: MakeCarrier, open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    elsewhere = await open_elsewhere()
    elsewhere.answers["RCPT"] = "450 later"
    alice = await store.run(suspected, store, people, 1)
    clock.advance(queue.LIFETIME + 1)
    await store.run(all_of, store, held.release, alice)
    await make_carrier(smarthost=f"{elsewhere.host}:{elsewhere.port}").sweep()
    assert [address for address, _ in queued(store)] == ["a0@far.test", "b0@farther.test"]  # and no report of a failure


def test_a_page_at_a_time(store: Store, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "PAGE", 4)
    alice = suspected(store, people)
    assert all_of(store, held.release, alice) == [4, 2, 0]


def test_dropped_it_is_gone_and_the_sender_begins_anew(store: Store, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "PAGE", 4)
    alice = suspected(store, people)
    send(store, people.actor("bob"), "x@far.test")
    with store.transaction(1) as tx:
        watch = spikes.find(tx, alice)
        assert watch is not None
        assert (watch.letters, held.count(tx, alice)) == (3, 6)
    assert all_of(store, held.drop, watch) == [4, 2, 0]
    assert queued(store) == [("x@far.test", "")]
    with store.transaction(1) as tx:
        assert rows.count(tx) == (1, 1)
        assert [row[0] for row in destinations.page(tx, after="", limit=9)] == ["far.test"]
        assert spikes.find(tx, alice) is None
    send(store, people.actor("alice"), "y@far.test", terms=NOW)
    assert queued(store)[-1] == ("y@far.test", "")


def test_what_others_hold_is_not_touched(store: Store, people: People) -> None:
    with store.transaction(1) as tx:
        for name in ("alice", "bob"):
            spikes.hold(tx, people.ids[name], "by hand")
    for name in ("alice", "bob"):
        send(store, people.actor(name), f"{name}@far.test")
    all_of(store, held.release, people.ids["alice"])
    assert queued(store) == [("alice@far.test", ""), ("bob@far.test", held.name(people.ids["bob"]))]
    with store.transaction(1, write=False) as tx:
        assert senders.held(tx, "", limit=9, sending=True) == []


# What had not left yet when the alarm sounded


def test_what_still_waits_of_the_last_hours_is_held_too(store: Store, people: People, clock: Clock) -> None:
    alice = people.actor("alice")
    send(store, alice, "honest@far.test")
    clock.advance(held.BEFORE + 1)
    send(store, people.actor("bob"), "x@far.test")
    send(store, alice, "a@far.test", "b@farther.test")
    send(store, alice, "later@far.test", hold_until=clock.now + 900)
    send(store, alice, "bob@example.test", "carol@example.test", raw=letter(sender=alice.email) + b"x" * 1_100_000)  # carol has no room
    with store.transaction(1) as tx:
        queue.lease(tx, "carrier", "farther.test", 9)
        held.hold(tx, people.ids["alice"], "bank called")
    name = held.name(people.ids["alice"])
    assert queued(store) == [
        ("honest@far.test", ""),
        ("x@far.test", ""),
        ("a@far.test", name),
        ("b@farther.test", name),
        ("later@far.test", name),
        ("carol@example.test", ""),
    ]
    with store.transaction(1) as tx:
        watch = spikes.find(tx, people.ids["alice"])
        assert watch is not None
        assert (watch.letters, watch.reason) == (2, "bank called")
        assert watch.octets > 200
        assert [row[0] for row in rows.due(tx, "far.test", 9)] == [1, 2]  # the first two are due, what is held is not


def test_what_is_being_sent_is_let_go_or_dropped_when_it_comes_back(store: Store, people: People, clock: Clock) -> None:
    alice = people.actor("alice")
    for address in ("a@far.test", "b@farther.test"):
        send(store, alice, address)
    with store.transaction(1) as tx:
        ((parcel,), _), ((other,), _) = (queue.lease(tx, "carrier", name, 9) for name in ("far.test", "farther.test"))
        watch = held.hold(tx, people.ids["alice"], "bank called")
    assert all_of(store, held.drop, watch) == [0]
    with store.transaction(1) as tx:
        assert spikes.find(tx, people.ids["alice"]) is not None  # as two may come back
        queue.postpone(tx, "carrier", parcel, parcel.copies[0], "450 later", warned=False)
    assert all_of(store, held.drop, watch) == [1, 0]
    assert all_of(store, held.release, people.ids["alice"]) == [1, 0]
    assert queued(store) == [("b@farther.test", "")]
    with store.transaction(1) as tx:
        queue.postpone(tx, "carrier", other, other.copies[0], "450 later", warned=False)
        assert rows.first_due(tx, "farther.test") < clock.now + 3600


def test_an_operator_lets_a_copy_go_that_is_being_sent(store: Store, people: People) -> None:
    send(store, people.actor("alice"), "a@far.test")
    with store.transaction(1) as tx:
        ((parcel,), _) = queue.lease(tx, "carrier", "far.test", 9)
        assert interventions.hold(tx, interventions.page(tx, {}), "to see") == 1
        assert interventions.release(tx, interventions.page(tx, {})) == 1
        (copy,) = interventions.page(tx, {})
        assert (copy.state, copy.holder, copy.due_at) == ("sending", "carrier", tx.now + queue.LEASE)
        assert queue.postpone(tx, "carrier", parcel, parcel.copies[0], "450 later", warned=False)
        (copy,) = interventions.page(tx, {})
        assert (copy.state, copy.last_reply) == ("waiting", "450 later")
        assert copy.due_at < queue.NEVER
