"""Counts connections: over all, and for each address from which one client would speak."""

import ipaddress
from collections import Counter

from postroom.policy.throttle import network
from postroom.protocols.smtp.grammar import Reply
from postroom.protocols.smtp.settings import Settings


class Turnstile:
    """Who is in, and whether one more may come."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trusted = [ipaddress.ip_network(text) for text in settings.trusted_networks]
        self._from: Counter[str] = Counter()
        self.inside = 0

    def enter(self, place: str) -> Reply | None:
        """Count a connection in, or give the refusal when there are too many."""
        if self.inside >= self._settings.maximum_connections:
            return Reply(421, "4.7.0", "Too many connections")
        if place and self._from[place] >= self._settings.connections_per_address:
            return Reply(421, "4.7.0", "Too many connections from your address")
        self.inside += 1
        self._from[place] += 1
        return None

    def leave(self, place: str) -> None:
        """Count a connection out."""
        self.inside -= 1
        self._from[place] -= 1
        if not self._from[place]:
            del self._from[place]

    @property
    def stressed(self) -> bool:
        """Say whether connections are scarce, so that idle ones get less time."""
        return self.inside * 5 > self._settings.maximum_connections * 4

    def place(self, address: str) -> str:
        """Give the name under which an address is counted: itself, an IPv6 /64, '' for a trusted one."""
        bare = address.partition("%")[0]
        try:
            parsed = ipaddress.ip_address(bare)
        except ValueError:
            return ""
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return "" if any(parsed in trusted for trusted in self._trusted) else network(bare)
