"""Mail of a sender that is held back in the queue: taken out of circulation, let go or thrown away, and the sender with it.

What a user sends from now on is held as it comes (`outgoing`); what was sent shortly before and has not left, because a server asked for
patience, is held with it. Letting go and throwing away take a page to a transaction.
"""

from postroom.mailflow import destinations, queue, recipients
from postroom.mailflow.queue import Hold
from postroom.policy import spikes
from postroom.policy.spikes import HOUR, Watch
from postroom.storage.engine import Tx
from postroom.storage.queries import queued, senders

PAGE = 200
BEFORE = 2 * HOUR
"""For how many seconds before an alarm what a sender has sent is suspicious."""


def name(user: str) -> str:
    """Give the name under which a user's mail is held in the queue."""
    return f"spikes:{user}"


def find(tx: Tx, user: str) -> Hold | None:
    """Say whether a user's mail for others is held back, and why."""
    return of(spikes.find(tx, user))


def of(watch: Watch | None) -> Hold | None:
    """Give the hold under which mail of a sender is queued, if the sender's mail is held back."""
    return Hold(name(watch.entity), watch.reason) if watch is not None and watch.held else None


def hold(tx: Tx, user: str, reason: str) -> Watch:
    """Hold the mail of a user for others back, that to come and that of the last hours that still waits.

    What is being sent just now is held if it comes back.
    """
    watch = spikes.hold(tx, user, reason)
    ours: dict[str, bool] = {}
    left: set[str] = set()
    sizes: dict[int, int] = {}
    for number, destination, domain, carrier, message, size in senders.waiting(tx, user, since=tx.now - BEFORE):
        if domain not in ours:
            ours[domain] = recipients.is_ours(tx, domain)
        if not ours[domain] and queued.hold(tx, number, by=name(user), reason=reason) and not carrier:
            left.add(destination)
            sizes[message] = size
    for destination in left:
        destinations.leave(tx, destination)
    if sizes:
        senders.hold(tx, user, letters=len(sizes), octets=sum(sizes.values()))
    return watch


def count(tx: Tx, user: str) -> int:
    """Count the recipients for whom a user's mail is held back."""
    return senders.count_held(tx, name(user))


def release(tx: Tx, user: str) -> int:
    """Let some of a user's mail go that is held back; counts recipients, 0 when there is none left."""
    return queue.release(tx, senders.held(tx, name(user), limit=PAGE, sending=True))


def drop(tx: Tx, watch: Watch) -> int:
    """Throw some of a sender's mail away that is held back, but for what is being sent just now; counts recipients.

    When there is none left, the sender begins anew: what was sent since the alarm counts for nothing.
    """
    found = senders.held(tx, name(watch.entity), limit=PAGE, sending=False)
    if not found and not count(tx, watch.entity):
        spikes.disown(tx, watch)
    return queue.drop(tx, found)
