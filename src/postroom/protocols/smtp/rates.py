"""How much a network may bring in a minute, and a user send, and how many addresses each may guess.

Every count leaks: a minute's worth may come at once, and drains evenly in a minute. Counts are kept in memory, of so many networks and
senders; those that were quiet the longest are forgotten. Senders are counted for each network, or one could use up the share of another;
users are counted wherever they are.
"""

from collections import OrderedDict
from collections.abc import Callable

from postroom.protocols.smtp.settings import Settings

MOST = 50_000
_MINUTE = 60.0


class Leaks:
    """Counts by key that drain `limit` in a minute."""

    def __init__(self, limit: float, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def add(self, key: str, count: float = 1.0) -> bool:
        """Count, and say whether that is within the limit; what is beyond it is not counted."""
        level, now = self.level(key), self._now()
        within = level + count <= self._limit
        self._levels[key] = (level + count if within else level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > MOST:
            self._levels.popitem(last=False)
        return within

    def has_room(self, key: str) -> bool:
        """Say whether one more would be within the limit."""
        return self.level(key) + 1 <= self._limit

    def level(self, key: str) -> float:
        """Give a count as it has drained by now."""
        found = self._levels.get(key)
        if found is None:
            return 0.0
        return max(0.0, found[0] - (self._now() - found[1]) * self._limit / _MINUTE)

    def __len__(self) -> int:
        return len(self._levels)


class Rates:
    """What each network brings; a place of '' is trusted, and brings what it likes. `now` is any steady clock, in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._connections = Leaks(settings.connections_per_minute, now)
        self._messages = Leaks(settings.messages_per_minute, now)
        self._senders = Leaks(settings.messages_per_minute_of_sender, now)
        self._recipients = Leaks(settings.recipients_per_minute, now)
        self._unknown = Leaks(settings.unknown_recipients_per_minute, now)

    def connect(self, place: str) -> bool:
        """Count a connection; False when there are too many."""
        return not place or self._connections.add(place)

    def send(self, place: str, sender: str) -> bool:
        """Count a message; False when there are too many, of the network or of one sender in it."""
        if not place:
            return True
        return self._messages.add(place) and (not sender or self._senders.add(f"{place} {sender.lower()[:320]}"))

    def name(self, place: str) -> bool:
        """Count a recipient; False when there are too many."""
        return not place or self._recipients.add(place)

    def guess(self, place: str) -> bool:
        """Count a recipient that does not exist; False when most that the network names do not, and it names many."""
        if not place or self._unknown.add(place):
            return True
        return self._unknown.level(place) * 2 <= self._recipients.level(place)


class UserRates:
    """What each user sends; users are known by their ids. `now` is any steady clock, in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._messages = Leaks(settings.messages_per_minute_of_user, now)
        self._recipients = Leaks(settings.recipients_per_minute_of_user, now)
        self._unknown = Leaks(settings.unknown_recipients_per_minute_of_user, now)

    def send(self, user: str) -> bool:
        """Count a message; False when there are too many."""
        return self._messages.add(user)

    def name(self, user: str) -> bool:
        """Count a recipient; False when there are too many."""
        return self._recipients.add(user)

    def guess(self, user: str) -> None:
        """Count a recipient that does not exist."""
        self._unknown.add(user)

    def guesses(self, user: str) -> bool:
        """Say whether a user has named so many recipients that do not exist that no more answers are given."""
        return not self._unknown.has_room(user)
