"""What an operator does to the queue: look, try again at once, hold back, let go, throw away.

Each is done to a page of copies in a transaction, beside a running carrier, which hears of it. What is being sent at that moment is left to
the carrier: it cannot be called back, but is held, when it comes back, if that was asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postroom.mailbox import contents
from postroom.mailflow import destinations, judgement, queue
from postroom.mailflow.destinations import Destination
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.trace import without_return_path
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import destinations as destination_rows
from postroom.storage.queries import queued

PAGE = 200
OPERATOR = "operator"
"""Who holds back what an operator does."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued copy; times in epoch seconds, sizes in octets. `blocked_until` and `reply` are of its destination as a whole."""

    number: int
    message: int
    recipient: str
    destination: str
    attempts: int
    due_at: float
    holder: str
    last_reply: str
    held_by: str
    held_for: str
    notify: str
    sender: str
    author: str
    content: int
    size: int
    queued_at: float
    lifetime: float
    trace: str
    require_tls: bool
    blocked_until: float
    reply: str

    @property
    def state(self) -> str:
        """Say where it stands: held, sending or waiting."""
        if self.held_by:
            return "held"
        return "sending" if self.holder else "waiting"

    @property
    def next_at(self) -> float:
        """When it may be tried next."""
        return max(self.due_at, self.blocked_until)

    @property
    def reason(self) -> str:
        """Say why it is still there, as far as is known."""
        return self.held_for or (self.reply if self.blocked_until else "") or self.last_reply


def page(tx: Tx, wanted: Mapping[str, Any], *, after: int = 0, limit: int = PAGE) -> list[Waiting]:
    """List copies behind one by number, chosen as `queries.queued.page` says."""
    return [Waiting(*row) for row in queued.page(tx, after=after, limit=limit, **wanted)]


def read(tx: Tx, copy: Waiting) -> bytes:
    """Give the letter of a copy."""
    return contents.read(tx, copy.content)


def overview(tx: Tx) -> list[tuple[Destination, int, int]]:
    """List destinations, each with the copies that wait for it and those of them that are held back."""
    counts = queued.by_destination(tx)
    found: list[tuple[Destination, int, int]] = []
    after = ""
    while part := destination_rows.page(tx, after=after, limit=1000):
        after = part[-1][0]
        found += [(Destination(*row), *counts.get(row[0], (0, 0))) for row in part]
    return found


def retry(tx: Tx, copies: Iterable[Waiting]) -> int:
    """Let copies be tried at once, also at a destination that is out of reach; counts them."""
    done = [copy for copy in copies if queued.hurry(tx, copy.number)]
    for name in _destinations(done):
        known = destinations.find(tx, name)
        if known is not None and known.blocked_until > tx.now:
            destination_rows.update(tx, name, blocked_until=tx.now)
        destinations.announce(tx, name, tx.now)
    tx.changes.wake(queue.TOPIC)
    return len(done)


def hold(tx: Tx, copies: Iterable[Waiting], reason: str) -> int:
    """Hold copies back; counts them."""
    done = [copy for copy in copies if queued.hold(tx, copy.number, by=OPERATOR, reason=reason)]
    for name in _destinations(done):
        destinations.leave(tx, name)
    return len(done)


def release(tx: Tx, copies: Iterable[Waiting]) -> int:
    """Let copies go that are held back, whoever holds them, as if they were queued now; counts them."""
    return queue.release(tx, [(copy.number, copy.destination) for copy in copies if copy.held_by])


def drop(tx: Tx, copies: Iterable[Waiting], reason: str = "") -> int:
    """Throw copies away that are not being sent; counts them. With a `reason` their authors hear of it, if they are users of ours."""
    dropped = 0
    for copy in copies:
        raw = _raw(tx, copy) if reason and copy.author and copy.sender else None
        if copy.holder or not queue.drop(tx, [(copy.number, copy.destination)]):
            continue
        dropped += 1
        if raw is not None:
            domain, envelope = copy.sender.rpartition("@")[2], Envelope(copy.sender, (copy.recipient,), require_tls=copy.require_tls)
            judgement.report(tx, copy.sender, raw, [(copy.recipient, reason)], domain=domain, envelope=envelope)
    return dropped


def _raw(tx: Tx, copy: Waiting) -> bytes | None:
    """Give the letter of a copy whose sender is to hear of it; None when it cannot be read."""
    try:
        return without_return_path(contents.read(tx, copy.content))
    except errors.PostroomError:
        return None


def _destinations(copies: Sequence[Waiting]) -> Iterable[str]:
    return dict.fromkeys(copy.destination for copy in copies)
