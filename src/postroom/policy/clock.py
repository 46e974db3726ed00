"""Whether the clock can be trusted with what cannot be undone.

What is deleted by its age is deleted by the clock of the machine, and one that wakes up in another year makes everything old at once. So
the time is noted whenever such work is about to begin, once an hour at least, and after a leap nothing is deleted for a day, in which
somebody may hear of it and set the clock right. A server that was switched off for days has leapt, too.
"""

from postroom.storage.engine import Tx
from postroom.storage.queries import counters

LEAP_SECONDS = 2 * 86_400.0
"""The clock has leapt when it has gone on by more than this since it was looked at last; or back by more than an hour."""
BACK_SECONDS = 3600.0
WAIT_SECONDS = 86_400.0
"""For so long after a leap nothing is deleted by its age."""
_SEEN, _LEAPT = "clock/seen", "clock/leapt"


def is_steady(tx: Tx) -> bool:
    """Note the time, and say whether the clock has gone steadily for a day, as far as it was looked at."""
    now = int(tx.now)
    seen = counters.find(tx, _SEEN)
    if seen is not None and not -BACK_SECONDS <= now - seen <= LEAP_SECONDS:
        counters.put(tx, _LEAPT, now)
    counters.put(tx, _SEEN, now)
    leapt = counters.find(tx, _LEAPT)
    return leapt is None or now - leapt >= WAIT_SECONDS
