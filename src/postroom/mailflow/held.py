"""Mail of a sender that is held back in the queue: let go or thrown away, a page to a transaction, and the sender with it."""

from postroom.mailflow import outgoing, queue
from postroom.policy import spikes
from postroom.policy.spikes import Watch
from postroom.storage.engine import Tx
from postroom.storage.queries import senders

PAGE = 200


def count(tx: Tx, user: str) -> int:
    """Count the recipients for whom a user's mail is held back."""
    return senders.count_held(tx, outgoing.held_by(user))


def release(tx: Tx, user: str) -> int:
    """Let some of a user's mail go that is held back; counts recipients, 0 when there is none left."""
    found = senders.held(tx, outgoing.held_by(user), limit=PAGE)
    return queue.release(tx, found)


def drop(tx: Tx, watch: Watch) -> int:
    """Throw some of a sender's mail away that is held back; counts recipients.

    When there is none left, the sender begins anew: what was sent since the alarm counts for nothing.
    """
    found = senders.held(tx, outgoing.held_by(watch.entity), limit=PAGE)
    if not found:
        spikes.disown(tx, watch)
    return queue.drop(tx, found)
