"""Next hops: where a destination's mail is to be brought at this moment.

The queue knows destinations: domains, and gateways of flow rules. What they mean may change while mail waits: a domain comes to this
server, a smarthost is set.
"""

from dataclasses import dataclass

from postroom.directory import domains
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.routes import ANYHOW, GATEWAY
from postroom.storage.engine import REGISTRY, Store

SMARTHOST = "smarthost"


@dataclass(frozen=True, slots=True)
class Hop:
    """A next hop by its name: an organization of this server (`scope`), the smarthost, a `gateway`, or the exchangers of a `domain`.

    To one that is to be reached `anyhow` mail goes whatever it demands of encryption itself, and how it went is not counted.
    """

    name: str
    scope: int | None = None
    domain: str = ""
    gateway: str = ""
    anyhow: bool = False

    @property
    def shared(self) -> bool:
        """Say whether mail for all destinations elsewhere goes there."""
        return not (self.domain or self.gateway) and self.scope is None


class Hops:
    """Finds next hops."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def find(self, destination: str) -> Hop:
        """Give the next hop of a destination."""
        if destination.startswith(GATEWAY):
            return Hop(destination, gateway=destination.removeprefix(GATEWAY))
        domain = destination.removeprefix(ANYHOW)
        scope = await self._store.read(REGISTRY, domains.route, domain)
        if scope is not None:
            return Hop(f"organization {scope}", scope)
        if self._settings.smarthost:
            return Hop(SMARTHOST)
        return Hop(destination, domain=domain, anyhow=domain != destination)

    def most(self, hop: Hop) -> int:
        """Give how many connections may be open to a hop at once."""
        if hop.scope is not None:
            return 1
        return self._settings.connections_per_domain if hop.domain else self._settings.connections_to_smarthost
