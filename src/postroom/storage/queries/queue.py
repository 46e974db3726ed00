"""Mail under way: messages, their recipients, and what has been handed over."""

from collections.abc import Iterable, Sequence
from typing import Any

from postroom.storage.engine import Tx
from postroom.storage.queries import counters

Row = tuple[Any, ...]
_DUE = (
    "r.id, r.message, r.recipient, r.domain, r.attempts, r.last_reply, r.warned, m.content, m.size, m.sender, m.author,"
    " m.eight_bit, m.international, m.queued_at, m.trace, m.assessment"
)


def insert(
    tx: Tx,
    *,
    content: int,
    size: int,
    sender: str,
    author: str,
    trace: str,
    assessment: str,
    eight_bit: bool,
    international: bool,
    recipients: Sequence[tuple[str, str]],
) -> int:
    """Queue a message for (recipient, domain) each, due at once; gives the message's id."""
    message = counters.next(tx, "queue_message")
    first = counters.next(tx, "queue_recipient", len(recipients))
    tx.run(
        "INSERT INTO queue_messages (organization, id, content, size, sender, author, trace, assessment, eight_bit, international, pending,"
        " queued_at) VALUES (:organization, :id, :content, :size, :sender, :author, :trace, :assessment, :eight_bit, :international,"
        " :pending, :now)",
        id=message,
        content=content,
        size=size,
        sender=sender,
        author=author,
        trace=trace,
        assessment=assessment,
        eight_bit=int(eight_bit),
        international=int(international),
        pending=len(recipients),
        now=tx.now,
    )
    tx.many(
        "INSERT INTO queue_recipients (organization, id, message, recipient, domain, attempts, due_at, holder, last_reply, warned)"
        " VALUES (:organization, :id, :message, :recipient, :domain, 0, :now, '', '', 0)",
        [
            {"id": first + at, "message": message, "recipient": recipient, "domain": domain, "now": tx.now}
            for at, (recipient, domain) in enumerate(recipients)
        ],
    )
    return message


def lease(tx: Tx, *, holder: str, until: float, limit: int) -> list[Row]:
    """Take the rows longest due for a holder until a time (epoch seconds); gives `_DUE` in order of message and domain.

    What is due of one message for one domain is taken together, even beyond the limit: it goes in one transaction.
    """
    taken = tx.all(
        "UPDATE queue_recipients SET holder = :holder, due_at = :until WHERE organization = :organization AND due_at <= :now"
        " AND id IN (SELECT r.id FROM (SELECT message, domain FROM queue_recipients WHERE organization = :organization"
        " AND due_at <= :now ORDER BY due_at, id LIMIT :limit) first JOIN queue_recipients r ON r.organization = :organization"
        " AND r.message = first.message AND r.domain = first.domain) RETURNING id",
        holder=holder,
        until=until,
        now=tx.now,
        limit=limit,
    )
    rows: list[Row] = []
    for (number,) in taken:
        row = tx.one(
            f"SELECT {_DUE} FROM queue_recipients r JOIN queue_messages m ON m.organization = r.organization AND m.id = r.message"
            " WHERE r.organization = :organization AND r.id = :id",
            id=number,
        )
        if row is not None:
            rows.append(row)
    return sorted(rows, key=lambda row: (row[1], row[3], row[0]))


def behind(tx: Tx, after: int, limit: int) -> list[Row]:
    """List rows behind an id, leased or not; gives `_DUE` in order of message and domain."""
    rows = tx.all(
        f"SELECT {_DUE} FROM queue_recipients r JOIN queue_messages m ON m.organization = r.organization AND m.id = r.message"
        " WHERE r.organization = :organization AND r.id > :after ORDER BY r.id LIMIT :limit",
        after=after,
        limit=limit,
    )
    return sorted(rows, key=lambda row: (row[1], row[3], row[0]))


def renew(tx: Tx, numbers: Iterable[int], *, holder: str, until: float) -> int:
    """Prolong the lease of rows that the holder still has; counts them."""
    return sum(
        tx.run(
            "UPDATE queue_recipients SET due_at = :until WHERE organization = :organization AND id = :id AND holder = :holder",
            id=number,
            holder=holder,
            until=until,
        )
        for number in numbers
    )


def put_back(tx: Tx, number: int, *, holder: str, due_at: float, attempts: int, reply: str, warned: bool) -> bool:
    """Give a row back, due again at a time (epoch seconds); False when the holder has lost it."""
    return bool(
        tx.run(
            "UPDATE queue_recipients SET holder = '', due_at = :due_at, attempts = :attempts, last_reply = :reply, warned = :warned"
            " WHERE organization = :organization AND id = :id AND holder = :holder",
            id=number,
            holder=holder,
            due_at=due_at,
            attempts=attempts,
            reply=reply,
            warned=int(warned),
        )
    )


def delete(tx: Tx, number: int, *, holder: str) -> bool:
    """Remove a recipient that is done with, and its message after the last; False when the holder has lost it."""
    row = tx.one(
        "DELETE FROM queue_recipients WHERE organization = :organization AND id = :id AND holder = :holder RETURNING message",
        id=number,
        holder=holder,
    )
    if row is None:
        return False
    tx.run("UPDATE queue_messages SET pending = pending - 1 WHERE organization = :organization AND id = :message", message=row[0])
    tx.run("DELETE FROM queue_messages WHERE organization = :organization AND id = :message AND pending = 0", message=row[0])
    return True


def next_due(tx: Tx) -> float | None:
    """Give when the next row comes due, epoch seconds."""
    row = tx.one("SELECT MIN(due_at) FROM queue_recipients WHERE organization = :organization")
    return None if row is None else row[0]


def count(tx: Tx) -> tuple[int, int]:
    """Count (messages, recipients)."""
    messages = tx.one("SELECT COUNT(*) FROM queue_messages WHERE organization = :organization")
    recipients = tx.one("SELECT COUNT(*) FROM queue_recipients WHERE organization = :organization")
    return (messages[0] if messages else 0), (recipients[0] if recipients else 0)


def page(tx: Tx, *, after: int, limit: int) -> list[Row]:
    """List recipients behind an id: (id, message, recipient, attempts, due_at, last_reply, sender, queued_at)."""
    return tx.all(
        "SELECT r.id, r.message, r.recipient, r.attempts, r.due_at, r.last_reply, m.sender, m.queued_at FROM queue_recipients r"
        " JOIN queue_messages m ON m.organization = r.organization AND m.id = r.message"
        " WHERE r.organization = :organization AND r.id > :after ORDER BY r.id LIMIT :limit",
        after=after,
        limit=limit,
    )


def insert_handover(tx: Tx, source: int, number: int) -> None:
    """Note that a row of another scope's queue has been delivered here."""
    tx.run(
        "INSERT INTO handovers (organization, source, recipient, done_at) VALUES (:organization, :source, :recipient, :now)",
        source=source,
        recipient=number,
        now=tx.now,
    )


def has_handover(tx: Tx, source: int, number: int) -> bool:
    """Tell whether a row of another scope's queue has been delivered here."""
    found = tx.one(
        "SELECT 1 FROM handovers WHERE organization = :organization AND source = :source AND recipient = :recipient",
        source=source,
        recipient=number,
    )
    return found is not None


def delete_handovers(tx: Tx, *, before: float) -> int:
    """Forget what was handed over before a time, epoch seconds; counts rows."""
    return tx.run("DELETE FROM handovers WHERE organization = :organization AND done_at < :before", before=before)
