"""Lets connections in, or says why there are too many: over all, or from where one client would speak."""

from postroom.policy.crowd import Crowd
from postroom.protocols.smtp.grammar import Reply
from postroom.protocols.smtp.settings import Settings


class Turnstile:
    """Who is in, and whether one more may come."""

    def __init__(self, settings: Settings) -> None:
        self._crowd = Crowd(
            most=settings.maximum_connections, most_of_place=settings.connections_per_address, trusted=settings.trusted_networks
        )
        self.place = self._crowd.place
        self.leave = self._crowd.leave

    def enter(self, place: str) -> Reply | None:
        """Count a connection in, or give the refusal when there are too many."""
        if self._crowd.full:
            return Reply(421, "4.7.0", "Too many connections")
        return None if self._crowd.enter(place) else Reply(421, "4.7.0", "Too many connections from your address")

    @property
    def stressed(self) -> bool:
        """Say whether connections are scarce, so that idle ones get less time."""
        return self._crowd.stressed
