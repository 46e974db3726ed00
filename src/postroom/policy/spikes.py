"""Whether a user writes to far more others than ever before: whoever has stolen a password does.

An hour is a spike when it goes beyond what anybody may do, and beyond several times the user's own busiest hour of the days before; not of
this day, or a thief would only have to begin slowly.
From then on what the user sends is taken, so that nothing is lost if it was honest, but held back until somebody has looked. Whoever is
known to write to many can be trusted, for some time or for good; so is, for a day, whoever has been released.
"""

from dataclasses import dataclass

import msgspec

from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import senders as queries

HOUR = 3600
DAY = 24 * HOUR
FOR_GOOD = 253_402_300_799
"""The last second of the year 9999."""
HELD = 0
"""What stands in the place of a time of trust while a sender's mail is held back."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[spikes]` table: when the mail of a user is held back because the account may be in the hands of another."""

    enabled: bool = True
    """Whether the mail for others of a user who suddenly writes to very many is held in the queue until `postroom senders release`."""
    least: int = 500
    """Recipients outside the organization that anybody may write to in an hour."""
    times: float = 4.0
    """How many times the recipients of the user's own busiest hour are too many, if they are more than `least`."""
    days: int = 30
    """In how many days before this one (UTC) that busiest hour is looked for."""
    trusted_hours: float = 24.0
    """For how many hours a user who has been released is not suspected again."""
    held_octets: int = 1_073_741_824
    """Octets of one user's letters that are held; more are refused for the moment (452)."""
    tell: tuple[str, ...] = ()
    """Who gets a letter about it; if nobody is named, the postmaster of the user's domain, or `postmaster` of `[smtp]`."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A sender whose mail is held back, or who is trusted; times in epoch seconds. `letters` and `octets` are what is held back."""

    entity: str
    since: int
    trusted_until: int
    reason: str
    letters: int = 0
    octets: int = 0

    @property
    def held(self) -> bool:
        """Say whether mail is held back."""
        return self.trusted_until == HELD


@dataclass(frozen=True, slots=True)
class Spike:
    """Recipients of this hour, and of the busiest hour of the days before."""

    recipients: int
    busiest: int


def decide(this_hour: int, busiest: int, settings: Settings) -> bool:
    """Say whether an hour is a spike, by its recipients and those of the busiest hour before."""
    return this_hour > max(settings.least, settings.times * busiest)


def count(tx: Tx, entity: str, recipients: int, settings: Settings) -> Spike | None:
    """Count recipients elsewhere; give the spike that they make this hour, if any."""
    hour = int(tx.now) // HOUR
    this_hour = queries.add(tx, entity, hour, recipients)
    if this_hour <= settings.least:
        return None
    busiest = queries.busiest(tx, entity, hour // 24, settings.days)
    return Spike(this_hour, busiest) if decide(this_hour, busiest, settings) else None


def find(tx: Tx, entity: str) -> Watch | None:
    """Find whether a sender's mail is held back, or the sender trusted; trust that has run out is none."""
    row = queries.find(tx, entity)
    watch = None if row is None else Watch(*row)
    return watch if watch is None or watch.held or watch.trusted_until > tx.now else None


def hold(tx: Tx, entity: str, reason: str) -> Watch:
    """Hold the mail of a sender back from now on."""
    queries.put(tx, entity, trusted_until=HELD, reason=reason)
    return Watch(entity, int(tx.now), HELD, reason)


def keep(tx: Tx, watch: Watch, octets: int, settings: Settings) -> None:
    """Count a letter that is held back; raises `LimitExceeded` where there is no room for it."""
    if watch.octets + octets > settings.held_octets:
        raise errors.LimitExceeded("Your mail is held back until an administrator has looked at it; no more of it is taken now")
    queries.hold(tx, watch.entity, letters=1, octets=octets)


def trust(tx: Tx, entity: str, until: float, reason: str) -> None:
    """Believe a sender until a time, epoch seconds."""
    queries.put(tx, entity, trusted_until=min(int(until), FOR_GOOD), reason=reason)


def watch_again(tx: Tx, entity: str) -> bool:
    """Treat a sender like all others; False when that was so."""
    return queries.delete(tx, entity)


def disown(tx: Tx, watch: Watch) -> None:
    """Treat a sender like all others again, and forget what another has sent under the sender's name."""
    queries.forget(tx, watch.entity, day=watch.since // DAY)
    queries.delete(tx, watch.entity)


def page(tx: Tx, after: str = "", limit: int = 100) -> list[Watch]:
    """List senders whose mail is held back or who are trusted, by id."""
    return [Watch(*row) for row in queries.page(tx, after=after, limit=limit)]


def purge(tx: Tx, settings: Settings, limit: int) -> int:
    """Forget some hours that count no more, and trust that has run out; counts both."""
    return queries.purge(tx, before=int(tx.now) // DAY - settings.days, limit=limit) + queries.lapse(tx)
