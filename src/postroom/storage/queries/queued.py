"""Queued copies as an operator sees and handles them."""

from typing import Any

from postroom.storage.engine import Tx
from postroom.storage.queries.queue import NEVER

Row = tuple[Any, ...]
_SEEN = (
    "r.id, r.message, r.recipient, r.destination, r.attempts, r.due_at, r.holder, r.last_reply, r.held_by, r.held_for, r.notify, m.sender,"
    " m.author, m.content, m.size, m.queued_at, m.lifetime, m.trace, m.require_tls, COALESCE(d.blocked_until, 0), COALESCE(d.reply, '')"
)
_FILTERS = {
    "number": "r.id = :number",
    "message": "r.message = :message",
    "destination": "r.destination = :destination",
    "sender": "m.sender = :sender",
    "recipient": "r.recipient = :recipient",
    "held": "r.held_by <> ''",
}


def page(tx: Tx, *, after: int, limit: int, **wanted: Any) -> list[Row]:
    """List copies behind an id that are as wanted: by `number`, `message`, `destination`, `sender`, `recipient`, or `held` at all.

    (id, message, recipient, destination, attempts, due_at, holder, last_reply, held_by, held_for, notify, sender, author, content, size,
    queued_at, lifetime, trace, require_tls, blocked_until, reply); the last two are of the destination.
    """
    words = "".join(f" AND {_FILTERS[name]}" for name in wanted)
    return tx.all(
        f"SELECT {_SEEN} FROM queue_recipients r JOIN queue_messages m ON m.organization = r.organization AND m.id = r.message"
        " LEFT JOIN queue_destinations d ON d.organization = r.organization AND d.destination = r.destination"
        f" WHERE r.organization = :organization AND r.id > :after{words} ORDER BY r.id LIMIT :limit",
        after=after,
        limit=limit,
        **{name: value for name, value in wanted.items() if name != "held"},
    )


def by_destination(tx: Tx) -> dict[str, tuple[int, int]]:
    """Count the copies that wait for each destination, and how many of them are held back."""
    rows = tx.all(
        "SELECT destination, COUNT(*), SUM(CASE WHEN held_by = '' THEN 0 ELSE 1 END) FROM queue_recipients"
        " WHERE organization = :organization GROUP BY destination"
    )
    return {row[0]: (row[1], int(row[2])) for row in rows}


def hold(tx: Tx, number: int, *, by: str, reason: str) -> bool:
    """Hold a copy back; one that is being sent is held if that fails. False when it is held already, or gone."""
    return bool(
        tx.run(
            f"UPDATE queue_recipients SET held_by = :by, held_for = :reason, due_at = CASE WHEN holder = '' THEN {NEVER} ELSE due_at END"
            " WHERE organization = :organization AND id = :id AND held_by = ''",
            id=number,
            by=by,
            reason=reason,
        )
    )


def hurry(tx: Tx, number: int) -> bool:
    """Let a copy be due now that waits for its next attempt; False when it is held back, being sent, gone, or not to leave yet."""
    return bool(
        tx.run(
            "UPDATE queue_recipients SET due_at = :now WHERE organization = :organization AND id = :id AND holder = '' AND held_by = ''"
            " AND (SELECT m.queued_at FROM queue_messages m"
            " WHERE m.organization = :organization AND m.id = queue_recipients.message) <= :now",
            id=number,
            now=tx.now,
        )
    )
