"""Guessers are slowed down; owners are not locked out."""

import pytest

from postroom.model import errors
from postroom.policy import throttle
from postroom.policy.throttle import Throttle
from tests.conftest import Clock

HOME, AWAY = "192.0.2.1", "198.51.100.7"


def blocked(slowed: Throttle, address: str, account: str) -> bool:
    try:
        slowed.check(address, account)
    except errors.TryLater:
        return True
    return False


def test_an_account_is_closed_after_its_burst_and_opens_with_time(clock: Clock) -> None:
    slowed = Throttle(clock)
    for number in range(throttle.PER_ACCOUNT.burst):
        assert not blocked(slowed, f"203.0.113.{number}", "alice")
        slowed.failed(f"203.0.113.{number}", "alice")
    assert blocked(slowed, AWAY, "alice")
    assert not blocked(slowed, AWAY, "bob")
    clock.advance(1 / throttle.PER_ACCOUNT.per_second)
    assert not blocked(slowed, AWAY, "alice")


def test_the_owner_comes_in_from_where_she_has_been(clock: Clock) -> None:
    slowed = Throttle(clock)
    slowed.succeeded(HOME, "alice")
    for _ in range(20):
        slowed.failed(AWAY, "alice")
    assert blocked(slowed, AWAY, "alice")
    assert not blocked(slowed, HOME, "alice")


def test_a_network_is_closed_over_all_accounts(clock: Clock) -> None:
    slowed = Throttle(clock)
    for number in range(throttle.PER_NETWORK.burst):
        slowed.check_network(AWAY)
        slowed.failed(AWAY, f"user{number}")
    slowed.succeeded(AWAY, "alice")
    assert blocked(slowed, AWAY, "alice")
    with pytest.raises(errors.TryLater):
        slowed.check_network(AWAY)
    assert not blocked(slowed, HOME, "alice")
    clock.advance(1 / throttle.PER_NETWORK.per_second)
    assert not blocked(slowed, AWAY, "alice")


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("unix", "unix"),
    ],
)
def test_addresses_of_one_client_count_together(address: str, same: str) -> None:
    assert throttle.network(address) == throttle.network(same)
    assert throttle.network(address) != throttle.network("2001:db8:1:3::1")


def test_tables_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MAX_ENTRIES", 10)
    buckets: throttle.Buckets[int] = throttle.Buckets(throttle.PER_ACCOUNT)
    for key in range(100):
        buckets.fill(key, clock())
    assert len(buckets) == 10


def test_the_least_recently_used_go_first(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MAX_ENTRIES", 3)
    slowed = Throttle(clock)
    for number in range(throttle.PER_ACCOUNT.burst):
        slowed.failed(AWAY, "alice")
        slowed.failed(HOME, f"other{number}")
    assert blocked(slowed, "203.0.113.1", "alice")
    for account in ("bob", "carol", "bob", "dave", "erin"):
        slowed.succeeded(HOME, account)
    for account in ("bob", "carol"):
        for _ in range(throttle.PER_ACCOUNT.burst):
            slowed.failed("203.0.113.1", account)
    assert (blocked(slowed, HOME, "bob"), blocked(slowed, HOME, "carol")) == (False, True)
