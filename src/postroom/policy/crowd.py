"""How many connections there are, in all and from each place, and whether one more may come.

A place is where one client would speak from: an IPv4 address, an IPv6 /64. In a trusted network one address may stand for many clients, as
that of a proxy does; such addresses have no place, and count in all only.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable

from postroom.policy.throttle import network


class Crowd:
    """Counts of open connections: at most so many in all, and so many from one place."""

    __slots__ = ("_from", "_most", "_most_of_place", "_trusted", "inside")

    def __init__(self, *, most: int, most_of_place: int, trusted: Iterable[str] = ()) -> None:
        self._most = most
        self._most_of_place = most_of_place
        self._trusted = [ipaddress.ip_network(text) for text in trusted]
        self._from: Counter[str] = Counter()
        self.inside = 0

    @property
    def full(self) -> bool:
        """Say whether there are as many connections as there may be."""
        return self.inside >= self._most

    @property
    def stressed(self) -> bool:
        """Say whether connections are scarce."""
        return self.inside * 5 > self._most * 4

    def place(self, address: str) -> str:
        """Give the place under which an address is counted, '' for one that has none."""
        bare = address.partition("%")[0]
        try:
            parsed = ipaddress.ip_address(bare)
        except ValueError:
            return ""
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return "" if any(parsed in trusted for trusted in self._trusted) else network(bare)

    def enter(self, place: str) -> bool:
        """Count a connection in, unless there are too many in all or from its place."""
        if self.full or (place and self._from[place] >= self._most_of_place):
            return False
        self.inside += 1
        self._from[place] += 1
        return True

    def leave(self, place: str) -> None:
        """Count a connection out."""
        self.inside -= 1
        self._from[place] -= 1
        if not self._from[place]:
            del self._from[place]
