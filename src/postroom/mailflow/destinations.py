"""Where queued mail goes next, and when a destination that is out of reach is tried again.

A destination is the unit of the queue: a carrier takes what is due of it, so that nobody's mail waits for that of another. When no server
of it can be reached, the destination as a whole is put off, however many letters wait for it, and one of them finds out whether it is
back. How long it is put off follows the schedule of its youngest letter, so that none is tried less often than its own schedule says; and
it ends in time for the next sender who is to hear of a delay.

A carrier with more work for a destination than it can take at once claims it, so that others leave it alone; a claim runs out like a lease.
"""

from dataclasses import dataclass

from postroom.mailflow.verdicts import Verdict
from postroom.storage.engine import Tx
from postroom.storage.queries import destinations as queries
from postroom.storage.queries import queue as rows

CLAIM = 60.0
"""Seconds for which a destination is claimed; renewed three times as often."""
SOON = 60.0
"""Seconds for which a destination is put off at least."""
_FIRST = (300.0, 600.0, 1200.0, 2400.0)
_NOTICED = 60.0


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination as it stands; times in epoch seconds, 0 for never."""

    name: str
    due_at: float
    claimed_until: float = 0.0
    blocked_until: float = 0.0
    since: float = 0.0
    young_at: float = 0.0
    tried_at: float = 0.0
    failures: int = 0
    status: str = ""
    host: str = ""
    reply: str = ""

    @property
    def blocked(self) -> bool:
        """Say whether it is out of reach, as far as is known."""
        return self.blocked_until > 0


def delay(attempts: int, age: float) -> float:
    """Give the seconds to wait after so many attempts at that age: 5, 10, 20, 40 minutes, hourly to 8 hours, then 4-hourly."""
    if attempts <= len(_FIRST):
        return _FIRST[attempts - 1]
    return 3600.0 if age < 8 * 3600 else 4 * 3600.0


def find(tx: Tx, name: str) -> Destination | None:
    """Find a destination; None when nothing waits for it."""
    row = queries.find(tx, name)
    return None if row is None else Destination(*row)


def announce(tx: Tx, name: str, due_at: float) -> None:
    """Note that something for a destination is due at a time; one that is out of reach is soon tried for it."""
    known = find(tx, name)
    if known is None:
        _put(tx, Destination(name, due_at))
        return
    opens = known.blocked_until
    if known.blocked and (tx.now - known.young_at > _NOTICED or known.failures):
        opens = min(opens, known.tried_at + _FIRST[0])
        queries.update(tx, name, blocked_until=opens, young_at=tx.now, failures=0)
    due_at = min(known.due_at, max(due_at, opens))
    if due_at < known.due_at and known.claimed_until <= tx.now:
        queries.update(tx, name, due_at=due_at)


def take(tx: Tx, name: str) -> bool:
    """Claim a destination of which something has been leased, if more of it is due; tells whether that is so."""
    first = rows.first_due(tx, name)
    more = first is not None and first <= tx.now
    if first is None:
        queries.delete(tx, name)
    elif more:
        queries.claim(tx, [name], until=tx.now + CLAIM)
    else:
        queries.update(tx, name, due_at=first, claimed_until=0.0)
    return more


def leave(tx: Tx, name: str) -> bool:
    """Write down when a destination is due next, as something of it has been settled; tells whether more of it is due now."""
    first = rows.first_due(tx, name)
    known = find(tx, name) if first is not None else None
    if first is None or known is None:
        queries.delete(tx, name)
        return False
    if first <= tx.now and known.blocked_until <= tx.now:
        if known.claimed_until <= tx.now < known.due_at:
            queries.update(tx, name, due_at=first)
        return True
    queries.update(tx, name, due_at=max(first, known.blocked_until), claimed_until=0.0)
    return False


def let_go(tx: Tx, name: str) -> None:
    """Give up a claim: who comes next may have the destination."""
    first = rows.first_due(tx, name)
    known = find(tx, name) if first is not None else None
    if first is None or known is None:
        queries.delete(tx, name)
    else:
        queries.update(tx, name, due_at=max(first, known.blocked_until), claimed_until=0.0)


def put_off(tx: Tx, name: str, verdict: Verdict) -> None:
    """Put off a destination that cannot be reached, until its youngest letter is to be tried again."""
    known = find(tx, name)
    if known is None or known.blocked_until > tx.now:
        return
    young = known.young_at if known.blocked else tx.now
    failures = known.failures + 1 if known.blocked else 1
    until = tx.now + delay(failures, tx.now - young)
    notice = rows.next_notice(tx, name)
    until = until if notice is None else min(until, max(notice, tx.now + SOON))
    first = rows.first_due(tx, name)
    queries.update(
        tx,
        name,
        due_at=until if first is None else max(first, until),
        claimed_until=0.0,
        blocked_until=until,
        since=known.since or tx.now,
        young_at=young,
        tried_at=tx.now,
        failures=failures,
        status=verdict.status,
        host=verdict.host,
        reply=verdict.text,
    )


def welcome_back(tx: Tx, name: str) -> None:
    """Note that a destination can be reached again."""
    queries.update(tx, name, blocked_until=0.0, since=0.0, young_at=0.0, failures=0, status="", host="", reply="")


def _put(tx: Tx, destination: Destination) -> None:
    queries.put(
        tx,
        destination.name,
        {
            "due_at": destination.due_at,
            "claimed_until": destination.claimed_until,
            "blocked_until": destination.blocked_until,
            "since": destination.since,
            "young_at": destination.young_at,
            "tried_at": destination.tried_at,
            "failures": destination.failures,
            "status": destination.status,
            "host": destination.host,
            "reply": destination.reply,
        },
    )
