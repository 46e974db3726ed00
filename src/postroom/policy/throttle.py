"""Slows down whoever guesses passwords, without letting a guesser lock the owner out.

Failures fill a bucket per client network and one per account, which drain with time; while one is full, attempts are turned away
unchecked. The account's bucket does not bind a network from which the account has signed in before, so strangers cannot keep the
owner out. All tables are bounded; the least recently used entries go.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from postroom.model import errors

MAX_ENTRIES = 50_000

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many failures fill a bucket, and how many drain in a second."""

    burst: int
    per_second: float


PER_NETWORK = Rate(burst=50, per_second=1 / 6)
PER_ACCOUNT = Rate(burst=10, per_second=1 / 60)


class Buckets(Generic[K]):
    """Leaky buckets of failures, by key; times are seconds of any steady clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._levels: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def full(self, key: K, now: float) -> bool:
        """Say whether another attempt is too many."""
        return self._level(key, now) > self._rate.burst - 1

    def fill(self, key: K, now: float) -> None:
        """Add a failure."""
        self._levels[key] = (self._level(key, now) + 1, now)
        self._levels.move_to_end(key)
        if len(self._levels) > MAX_ENTRIES:
            self._levels.popitem(last=False)

    def empty(self, key: K) -> None:
        """Forget the failures."""
        self._levels.pop(key, None)

    def __len__(self) -> int:
        return len(self._levels)

    def _level(self, key: K, now: float) -> float:
        level, at = self._levels.get(key, (0.0, now))
        return max(0.0, level - (now - at) * self._rate.per_second)


class Throttle:
    """Counts failures and turns away; used from one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._networks: Buckets[str] = Buckets(PER_NETWORK)
        self._accounts: Buckets[str] = Buckets(PER_ACCOUNT)
        self._trusted: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check_network(self, address: str) -> None:
        """Raise `TryLater` for a network with too many failures."""
        if self._networks.full(network(address), self._clock()):
            raise errors.TryLater("Too many failed attempts; try again later.")

    def check(self, address: str, account: str) -> None:
        """Raise `TryLater` for a network, or for an account from a new network, with too many failures."""
        self.check_network(address)
        if self._accounts.full(account, self._clock()) and (network(address), account) not in self._trusted:
            raise errors.TryLater("Too many failed attempts; try again later.")

    def failed(self, address: str, account: str) -> None:
        """Count a failure."""
        now = self._clock()
        self._networks.fill(network(address), now)
        self._accounts.fill(account, now)

    def succeeded(self, address: str, account: str) -> None:
        """Trust this network with this account from now on."""
        pair = (network(address), account)
        self._trusted[pair] = None
        self._trusted.move_to_end(pair)
        if len(self._trusted) > MAX_ENTRIES:
            self._trusted.popitem(last=False)


def network(address: str) -> str:
    """Give what counts as one client: an IPv4 address, an IPv6 /64."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))
