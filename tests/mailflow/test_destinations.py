"""The queue by destination: who is put off and for how long, who has a turn, and that the dead keep nobody waiting."""

import asyncio
from collections.abc import Callable

import pytest

from postroom.mailbox import contents
from postroom.mailflow import destinations, queue, verdicts
from postroom.mailflow.assessment import OURS
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.hops import Hop
from postroom.mailflow.outbound.lanes import Lane, Turns
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.resolver import Resolver
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenScripted
from tests.mailflow.letters import lease, letter, send
from tests.mailflow.test_outbound import bounces, recipient_fields, waiting
from tests.people import People

Dns = tuple[NameServer, Resolver]
HOUR = 3600.0
LOST = verdicts.deferred("4.4.1", "Nobody there", "mx.far.test")


def enqueue(store: Store, *recipients: str, author: str = "somebody", scope: int = 1) -> None:
    """Queue a letter without anything around it."""
    prepared = contents.prepare(store, scope, letter())
    with store.transaction(scope) as tx:
        queue.enqueue(tx, Envelope("alice@example.test", recipients), contents.keep(tx, prepared), size=100, author=author, assessment=OURS)


def due_in(store: Store) -> float | None:
    with store.transaction(1, write=False) as tx:
        return queue.next_due(tx)


def put_off(store: Store, name: str = "far.test") -> None:
    with store.transaction(1) as tx:
        destinations.put_off(tx, name, LOST)


# The schedule of a destination


def test_a_destination_out_of_reach_is_tried_as_often_as_its_youngest_letter_wants(store: Store, people: People, clock: Clock) -> None:
    enqueue(store, "x@far.test")
    waits = []
    for _ in range(12):
        put_off(store)
        waits.append(due_in(store))
        clock.advance(waits[-1] or 0)
    assert waits[:5] == [300, 600, 1200, 2400, HOUR]
    assert 4 * HOUR - 60 in waits or 4 * HOUR in waits


def test_a_new_letter_for_a_destination_out_of_reach_is_tried_within_five_minutes(store: Store, people: People, clock: Clock) -> None:
    enqueue(store, "x@far.test")
    for _ in range(8):
        put_off(store)
        clock.advance(due_in(store) or 0)
    put_off(store)
    clock.advance(60)
    enqueue(store, "y@far.test")
    assert due_in(store) == 240
    clock.advance(400)
    assert due_in(store) == 0
    put_off(store)
    assert due_in(store) == 300  # and from then on by the schedule of the new letter
    enqueue(store, "z@near.test")
    assert due_in(store) == 0


def test_who_waits_for_a_destination_is_not_touched_when_it_is_put_off(store: Store, people: People, clock: Clock) -> None:
    for number in range(5):
        enqueue(store, f"r{number}@far.test")
    with store.transaction(1) as tx:
        before = tx.all("SELECT * FROM queue_recipients WHERE organization = :organization ORDER BY id")
    put_off(store)
    with store.transaction(1) as tx:
        assert tx.all("SELECT * FROM queue_recipients WHERE organization = :organization ORDER BY id") == before
        assert lease(tx, "one") == []
    clock.advance(300)
    with store.transaction(1) as tx:
        destinations.welcome_back(tx, "far.test")
        assert len(lease(tx, "one")) == 5


def test_putting_off_twice_at_once_counts_once(store: Store, people: People) -> None:
    enqueue(store, "x@far.test")
    put_off(store)
    put_off(store)
    with store.transaction(1, write=False) as tx:
        found = destinations.find(tx, "far.test")
    assert found is not None
    assert (found.failures, found.reply, found.host) == (1, "Nobody there", "mx.far.test")


def test_a_destination_comes_due_in_time_for_a_warning(store: Store, people: People, clock: Clock) -> None:
    enqueue(store, "x@far.test")
    clock.advance(queue.WARNING - 100)
    put_off(store)
    assert due_in(store) == 100


def test_a_destination_is_forgotten_with_the_last_of_its_letters(store: Store, people: People) -> None:
    enqueue(store, "x@far.test")
    with store.transaction(1) as tx:
        (parcel,) = lease(tx, "one")
        assert queue.done(tx, "one", parcel.copies[0])
        assert not destinations.leave(tx, "far.test")
        assert destinations.find(tx, "far.test") is None
        assert queue.next_due(tx) is None


def test_what_is_claimed_is_left_alone_until_the_claim_runs_out(store: Store, people: People, clock: Clock) -> None:
    for number in range(3):
        enqueue(store, f"r{number}@far.test")
    with store.transaction(1) as tx:
        parcels, more = queue.lease(tx, "one", "far.test", 1)
        assert (len(parcels), more) == (1, True)
        assert queue.lease(tx, "two", "far.test", 1) == ([], False)
    enqueue(store, "late@far.test")
    with store.transaction(1) as tx:
        assert queue.due(tx, 10) == []
        assert len(queue.lease(tx, "one", "far.test", 1, claimed=True)[0]) == 1
    clock.advance(queue.LEASE + 1)
    with store.transaction(1) as tx:
        assert queue.due(tx, 10) == [("far.test", False)]


def test_what_a_process_that_was_killed_had_leased_can_be_had_at_once(store: Store, people: People) -> None:
    for number in range(3):
        enqueue(store, f"r{number}@far.test")
    with store.transaction(1) as tx:
        queue.lease(tx, "killed", "far.test", 1)
    with store.transaction(1) as tx:
        queue.reclaim(tx, "lives")
        assert sum(len(parcel.copies) for parcel in lease(tx, "lives")) == 3
        queue.reclaim(tx, "lives")
        assert lease(tx, "lives") == []


# Turns


def lane(name: str, *, proven: bool = True, troubled: bool = False, waits: int = 1) -> Lane:
    made = Lane(Hop(name, domain=name), 4, proven)
    for number in range(waits):
        made.source(number, name).troubled = troubled
    return made


def ask(turns: Turns, *lanes: Lane) -> None:
    for each in lanes:
        for source in each.sources.values():
            turns.ask(source)


def test_proven_hops_share_what_may_be_in_flight() -> None:
    turns = Turns(Settings(in_flight=10, in_flight_per_destination=6))
    lanes = [lane(name) for name in "abc"]
    ask(turns, *lanes)
    given = turns.proven()
    assert [(turn.source.lane, turn.most) for turn in given] == [(lanes[0], 6), (lanes[1], 4), (lanes[2], 4)]
    for turn in given:
        turns.taken(turn, turn.most)
        turn.source.lane.count(turn.source, turn.most)
        turns.ask(turn.source)
    assert turns.proven() == []
    lanes[0].count(given[0].source, -3)
    turns.in_flight -= 5
    turns.consider(lanes[0])
    assert [(turn.source.lane, turn.most) for turn in turns.proven()] == [(lanes[0], 3)]


def test_sources_of_one_hop_take_turns() -> None:
    turns = Turns(Settings(in_flight_per_destination=2))
    shared = lane("far.test", waits=3)
    ask(turns, shared)
    seen = []
    for _ in range(4):
        (turn,) = turns.proven()
        seen.append(turn.source.scope)
        turns.taken(turn, 0)
        turns.ask(turn.source)
    assert seen == [0, 1, 2, 0]


def test_trials_take_the_oldest_and_the_newest_in_turn_and_the_dead_have_half_the_room() -> None:
    turns = Turns(Settings(attempts=4))
    dead = [lane(f"dead{number}", proven=False, troubled=True) for number in range(5)]
    fresh = [lane(f"fresh{number}", proven=False) for number in range(5)]
    ask(turns, *dead)
    assert [turn.source.lane for turn in turns.trials(10)] == dead[:2]
    ask(turns, *fresh)
    given = [turn.source.lane for turn in turns.trials(10)]
    assert given == [fresh[4], fresh[0]]
    assert turns.trials(10) == []
    turns.trial_over(given[0])
    assert [turn.source.lane for turn in turns.trials(10)] == [fresh[3]]
    assert turns.proven() == []


# The carrier


async def test_the_dead_are_tried_once_and_the_living_get_everything(
    store: Store, people: People, dns: Dns, open_scripted: OpenScripted, run: Callable[..., Carrier]
) -> None:
    """Hosts that greet nobody would take all connections, were they to share them with those that do."""
    silent = await open_scripted(host="127.0.0.2")
    silent.greet_after = 3600
    far = await open_scripted(port=silent.port)
    for number in range(20):
        dns[0].host(f"dead{number}.test", "127.0.0.2")
        for name in "abc":
            enqueue(store, f"{name}@dead{number}.test")
    dns[0].host("far.test")
    for number in range(30):
        enqueue(store, f"r{number}@far.test")
    run(port=far.port, connections=2, in_flight=10, attempts=30)
    async with asyncio.timeout(20):
        while len(far.bodies) < 30 or silent.connections < 20:
            await asyncio.sleep(0.02)
    assert silent.connections == 20


async def test_a_hop_that_comes_back_gets_all_that_waited(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted()
    far.welcome = 0
    dns[0].host("far.test")
    for number in range(5):
        enqueue(store, f"r{number}@far.test")
    carrier = make_carrier(port=far.port, connections_per_domain=1)
    await carrier.sweep()
    assert far.connections == 1
    clock.advance(299)
    await carrier.sweep()
    assert far.connections == 1
    clock.advance(1)
    far.welcome = 100
    await carrier.sweep()
    assert (waiting(store), len(far.bodies), far.connections) == ([], 5, 2)
    with store.transaction(1, write=False) as tx:
        assert destinations.find(tx, "far.test") is None


async def test_a_destination_that_takes_no_letter_after_the_other_is_put_off(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    asked: list[bytes] = []
    far = await open_scripted(MAIL=lambda line: asked.append(line) or b"450 4.3.2 Later\r\n")  # type: ignore[func-returns-value]
    dns[0].host("far.test")
    for number in range(40):
        enqueue(store, f"r{number}@far.test")
    carrier = make_carrier(port=far.port, connections_per_domain=1)
    await carrier.sweep()
    assert len(asked) == 10
    clock.advance(300)
    await carrier.sweep()
    assert len(asked) == 11
    far.answers.pop("MAIL")
    clock.advance(600)
    await carrier.sweep()
    assert (waiting(store), len(far.bodies)) == ([], 40)


async def test_letters_behind_a_dead_destination_are_warned_of_and_go_back_in_time(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: Dns
) -> None:
    dns[0].host("far.test", "127.0.0.9")
    carrier = make_carrier(port=9)
    for name in "xyz":
        send(store, people.actor("alice"), f"{name}@far.test")
    start, warned = clock.now, 0.0
    while waiting(store):
        await carrier.sweep()
        if not warned and bounces(store, people):
            warned = clock.now - start
            assert len(bounces(store, people)) == 3
        clock.advance(due_in(store) or 0)
    assert queue.WARNING <= warned <= queue.WARNING + 60
    assert queue.LIFETIME <= clock.now - start <= queue.LIFETIME + 60
    actions = [fields["Action"] for bounce in bounces(store, people) for fields in recipient_fields(bounce)]
    assert sorted(actions) == ["delayed"] * 3 + ["failed"] * 3


async def test_one_attempt_finds_out_about_a_smarthost_for_all_destinations(
    store: Store, people: People, make_carrier: MakeCarrier, open_scripted: OpenScripted
) -> None:
    relay = await open_scripted()
    relay.welcome = 0
    for number in range(8):
        enqueue(store, f"x@far{number}.test")
    await make_carrier(smarthost=f"127.0.0.1:{relay.port}").sweep()
    assert (relay.connections, len(waiting(store))) == (1, 8)


async def test_a_connection_is_kept_a_moment_for_the_next_letter(
    store: Store, people: People, dns: Dns, open_scripted: OpenScripted, run: Callable[..., Carrier]
) -> None:
    far = await open_scripted()
    dns[0].host("far.test")
    run(port=far.port)
    async with asyncio.timeout(10):
        for number in range(3):
            enqueue(store, f"r{number}@far.test")
            while len(far.bodies) <= number or waiting(store):
                await asyncio.sleep(0.01)
    assert far.connections == 1


async def test_a_place_goes_round_among_those_who_want_it(
    store: Store, people: People, dns: Dns, open_scripted: OpenScripted, run: Callable[..., Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes its time with each letter has the only connection for a while, not for all its mail."""
    monkeypatch.setattr("postroom.mailflow.outbound.carrier._TURN", 0.05)
    slow = await open_scripted(host="127.0.0.2")
    slow.read_after = 0.1
    far = await open_scripted(port=slow.port)
    dns[0].host("slow.test", "127.0.0.2")
    dns[0].host("far.test")
    for number in range(20):
        enqueue(store, f"r{number}@slow.test")
    run(port=far.port, connections=1)
    async with asyncio.timeout(10):
        while not slow.bodies:
            await asyncio.sleep(0.01)
        enqueue(store, "x@far.test")
        while not far.bodies:
            await asyncio.sleep(0.01)
        assert len(slow.bodies) < 10
