"""How many connections there are, in all and from each address, and whether one more may come."""

import ipaddress
from collections import Counter

from postroom.protocols.imap.settings import Settings


class Crowd:
    """Counts of open connections."""

    __slots__ = ("_addresses", "_settings", "_trusted", "total")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._addresses: Counter[str] = Counter()
        self._trusted = [ipaddress.ip_network(network) for network in settings.trusted_networks]
        self.total = 0

    def enter(self, address: str) -> bool:
        """Count a connection in, unless there are too many in all or from its address."""
        crowded = self._addresses[address] >= self._settings.connections_per_address and not self._is_trusted(address)
        if crowded or self.total >= self._settings.maximum_connections:
            return False
        self._addresses[address] += 1
        self.total += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self.total -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def _is_trusted(self, address: str) -> bool:
        try:
            given = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(given in network for network in self._trusted)
