"""When an hour is a spike, by what was written in the hours before, and who is trusted."""

import pytest

from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.policy import spikes
from postroom.policy.spikes import DAY, FOR_GOOD, HOUR, Settings, Spike
from postroom.storage.engine import Store
from postroom.storage.queries import senders as rows
from tests.conftest import Clock

FEW = Settings(least=10, times=3.0, days=5, held_octets=1000)


@pytest.mark.parametrize(
    ("this_hour", "busiest", "spike"),
    [
        (1, 0, False),
        (500, 0, False),
        (501, 0, True),
        (501, 125, True),
        (501, 126, False),
        (504, 126, False),
        (505, 126, True),
        (4000, 1000, False),
        (4001, 1000, True),
    ],
)
def test_an_hour_is_a_spike_beyond_what_anybody_may_and_beyond_ones_own_habits(this_hour: int, busiest: int, spike: bool) -> None:
    assert spikes.decide(this_hour, busiest, Settings()) is spike


def written(store: Store, recipients: int, entity: str = "alice") -> Spike | None:
    with store.transaction(1) as tx:
        return spikes.count(tx, entity, recipients, FEW)


@pytest.fixture(autouse=True)
def at_the_beginning_of_a_day(clock: Clock, organization: Organization) -> None:
    clock.now -= clock.now % DAY


def test_recipients_of_an_hour_add_up_and_the_next_hour_begins_anew(store: Store, clock: Clock) -> None:
    assert written(store, 6) is None
    assert written(store, 5, "bob") is None
    clock.advance(HOUR - 1)
    assert written(store, 4) is None
    assert written(store, 1) == Spike(11, 0)
    clock.advance(1)
    assert written(store, 10) is None
    assert written(store, 1) == Spike(11, 0)  # what was sent this day is no habit
    assert written(store, 6, "bob") is None


def test_the_busiest_hour_may_have_been_on_any_of_the_days_before(store: Store, clock: Clock) -> None:
    for hour, recipients in ((0, 2), (5, 10), (6, 3), (23, 1)):
        clock.now += (hour - (clock.now % DAY) // HOUR) * HOUR
        assert written(store, recipients) is None
    clock.advance(5 * DAY)
    assert written(store, 30) is None  # three times the 10
    assert written(store, 1) == Spike(31, 10)
    clock.advance(DAY)  # the 10 are forgotten, the 31 are not
    assert written(store, 93) is None
    assert written(store, 1) == Spike(94, 31)


def test_the_last_hour_of_a_day_before_counts(store: Store, clock: Clock) -> None:
    written(store, 2)
    clock.advance(HOUR)
    written(store, 7)
    clock.advance(DAY)
    assert written(store, 21) is None
    assert written(store, 1) == Spike(22, 7)


def test_held_trusted_and_watched_again(store: Store, clock: Clock) -> None:
    with store.transaction(1) as tx:
        assert spikes.find(tx, "alice") is None
        held = spikes.hold(tx, "alice", "too many")
        assert spikes.find(tx, "alice") == held
        assert held.held
        spikes.trust(tx, "alice", tx.now + HOUR, "released")
        spikes.trust(tx, "bob", 1e30, "bulk")
    clock.advance(HOUR - 1)
    with store.transaction(1) as tx:
        watch = spikes.find(tx, "alice")
        assert watch is not None
        assert not watch.held
        assert [(watch.entity, watch.trusted_until) for watch in spikes.page(tx)][1] == ("bob", FOR_GOOD)
    clock.advance(1)
    with store.transaction(1) as tx:
        assert spikes.find(tx, "alice") is None
        assert spikes.purge(tx, FEW, 10) == 1
        assert [watch.entity for watch in spikes.page(tx)] == ["bob"]
        assert spikes.watch_again(tx, "bob")
        assert not spikes.watch_again(tx, "bob")


def test_so_much_is_held_and_no_more(store: Store, clock: Clock) -> None:
    with store.transaction(1) as tx:
        spikes.hold(tx, "alice", "too many")
    for octets in (400, 600):
        with store.transaction(1) as tx:
            watch = spikes.find(tx, "alice")
            assert watch is not None
            spikes.keep(tx, watch, octets, FEW)
    with store.transaction(1) as tx:
        watch = spikes.find(tx, "alice")
        assert watch is not None
        assert (watch.letters, watch.octets) == (2, 1000)
        with pytest.raises(errors.LimitExceeded):
            spikes.keep(tx, watch, 1, FEW)


def test_what_another_wrote_is_no_habit(store: Store, clock: Clock) -> None:
    written(store, 5)
    clock.advance(DAY)
    assert written(store, 1000) == Spike(1000, 5)
    with store.transaction(1) as tx:
        spikes.disown(tx, spikes.hold(tx, "alice", "too many"))
        assert spikes.find(tx, "alice") is None
    clock.advance(HOUR)
    assert written(store, 15) is None
    assert written(store, 1) == Spike(16, 5)


def test_old_days_are_forgotten_a_few_at_a_time(store: Store, clock: Clock) -> None:
    for _ in range(8):
        written(store, 1)
        written(store, 1, "bob")
        clock.advance(DAY)
    with store.transaction(1) as tx:
        assert [spikes.purge(tx, FEW, 4) for _ in range(3)] == [4, 2, 0]
        assert rows.busiest(tx, "bob", int(tx.now) // DAY, 99) == 1
        left = tx.all("SELECT COUNT(*) FROM sending_hours WHERE organization = :organization")
        assert left == [(10,)]
