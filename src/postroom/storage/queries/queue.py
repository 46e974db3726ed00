"""Mail under way: messages, their recipients, and what has been handed over."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from postroom.storage.engine import Tx
from postroom.storage.queries import counters

Row = tuple[Any, ...]
NEVER = 1e12
"""When rows that are held are due, epoch seconds."""
_DUE = (
    "r.id, r.message, r.recipient, r.domain, r.attempts, r.last_reply, r.warned, r.destination, r.notify, r.original, m.content, m.size,"
    " m.sender, m.author, m.eight_bit, m.international, m.queued_at, m.trace, m.assessment, m.returns, m.envelope_id, m.require_tls,"
    " m.lifetime, m.sealer"
)
_ROWS = "queue_recipients r JOIN queue_messages m ON m.organization = r.organization AND m.id = r.message"


def insert(
    tx: Tx,
    *,
    message: Mapping[str, Any],
    recipients: Sequence[Mapping[str, Any]],
) -> int:
    """Queue a message for recipients, each column by its name; gives the message's id."""
    number = counters.next(tx, "queue_message")
    first = counters.next(tx, "queue_recipient", len(recipients))
    tx.run(
        "INSERT INTO queue_messages (organization, id, content, size, sender, author, trace, assessment, eight_bit, international, pending,"
        " queued_at, returns, envelope_id, require_tls, lifetime, sealer)"
        " VALUES (:organization, :id, :content, :size, :sender, :author, :trace, :assessment,"
        " :eight_bit, :international, :pending, :queued_at, :returns, :envelope_id, :require_tls, :lifetime, :sealer)",
        id=number,
        pending=len(recipients),
        **message,
    )
    tx.many(
        "INSERT INTO queue_recipients (organization, id, message, recipient, domain, destination, attempts, due_at, notice_at, holder,"
        " last_reply, warned, held_by, held_for, notify, original) VALUES (:organization, :id, :message, :recipient, :domain, :destination,"
        " 0, :due_at, :notice_at, '', '', 0, :held_by, :held_for, :notify, :original)",
        [{"id": first + at, "message": number, **recipient} for at, recipient in enumerate(recipients)],
    )
    return number


def due(tx: Tx, destination: str, limit: int) -> list[Row]:
    """List what is due for a destination, longest due first, as `_DUE` gives it, and who holds it back.

    What is due of the last message is given whole, even beyond the limit: it goes in one transaction.
    """
    rows = tx.all(
        f"SELECT {_DUE}, r.held_by FROM {_ROWS} WHERE r.organization = :organization AND r.destination = :destination"
        " AND r.due_at <= :now ORDER BY r.due_at, r.notice_at, r.id LIMIT :limit",
        destination=destination,
        now=tx.now,
        limit=limit,
    )
    if len(rows) < limit:
        return rows
    rest = tx.all(
        f"SELECT {_DUE}, r.held_by FROM {_ROWS} WHERE r.organization = :organization AND r.message = :message"
        " AND r.destination = :destination AND r.due_at <= :now",
        message=rows[-1][1],
        destination=destination,
        now=tx.now,
    )
    known = {row[0] for row in rows}
    return rows + [row for row in rest if row[0] not in known]


def overdue(tx: Tx, destination: str, limit: int) -> list[Row]:
    """List what is due for a destination and whose sender is to hear of it, as `due` does."""
    return tx.all(
        f"SELECT {_DUE}, r.held_by FROM {_ROWS} WHERE r.organization = :organization AND r.destination = :destination"
        " AND r.due_at <= :now AND r.notice_at <= :now LIMIT :limit",
        destination=destination,
        now=tx.now,
        limit=limit,
    )


def next_notice(tx: Tx, destination: str) -> float | None:
    """Give when the next sender is to hear of a copy that is due for a destination, epoch seconds."""
    row = tx.one(
        "SELECT MIN(notice_at) FROM queue_recipients WHERE organization = :organization AND destination = :destination"
        " AND due_at <= :now AND notice_at > :now",
        destination=destination,
        now=tx.now,
    )
    return None if row is None else row[0]


def first_due(tx: Tx, destination: str) -> float | None:
    """Give when the first copy for a destination is due, epoch seconds; None when there is none."""
    row = tx.one(
        "SELECT due_at FROM queue_recipients WHERE organization = :organization AND destination = :destination"
        " ORDER BY due_at LIMIT 1",
        destination=destination,
    )
    return None if row is None else row[0]


def lease(tx: Tx, numbers: Iterable[int], *, holder: str, until: float) -> None:
    """Give rows to a holder until a time, epoch seconds."""
    tx.many(
        "UPDATE queue_recipients SET holder = :holder, due_at = :until WHERE organization = :organization AND id = :id",
        [{"id": number, "holder": holder, "until": until} for number in numbers],
    )


def reclaim(tx: Tx, *, holder: str) -> list[str]:
    """Take what other holders have leased away from them, due at once; gives its destinations."""
    rows = tx.all(
        "UPDATE queue_recipients SET holder = '', due_at = :now WHERE organization = :organization AND holder <> '' AND holder <> :holder"
        " RETURNING destination",
        holder=holder,
        now=tx.now,
    )
    return sorted({row[0] for row in rows})


def behind(tx: Tx, after: int, limit: int) -> list[Row]:
    """List rows behind an id, leased or not; gives `_DUE` in order of message and domain."""
    rows = tx.all(
        f"SELECT {_DUE} FROM {_ROWS} WHERE r.organization = :organization AND r.id > :after ORDER BY r.id LIMIT :limit",
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


def put_back(tx: Tx, number: int, *, holder: str, **values: Any) -> bool:
    """Give a row back, due again at a time unless it is held, with other columns as they are now; False when the holder has lost it."""
    words = "".join(f", {name} = :{name}" for name in values if name != "due_at")
    return bool(
        tx.run(
            f"UPDATE queue_recipients SET holder = '', due_at = CASE WHEN held_by = '' THEN :due_at ELSE {NEVER} END{words}"
            " WHERE organization = :organization AND id = :id AND holder = :holder",
            id=number,
            holder=holder,
            **values,
        )
    )


def let_go(tx: Tx, number: int, *, warning: float) -> None:
    """Let a copy go that was held back, as if queued now, but not before its time; its sender hears of it `warning` seconds later.

    One that a carrier has stays with it, and is not held when it comes back.
    """
    tx.run(
        "UPDATE queue_messages SET queued_at = CASE WHEN queued_at > :now THEN queued_at ELSE :now END WHERE organization = :organization"
        " AND id = (SELECT message FROM queue_recipients WHERE organization = :organization AND id = :id)",
        id=number,
        now=tx.now,
    )
    tx.run(
        "UPDATE queue_recipients SET held_by = '', held_for = '',"
        " due_at = CASE WHEN holder = '' THEN m.queued_at ELSE queue_recipients.due_at END,"
        " notice_at = m.queued_at + CASE WHEN m.lifetime < :warning THEN m.lifetime ELSE :warning END FROM queue_messages m"
        " WHERE queue_recipients.organization = :organization AND queue_recipients.id = :id AND m.organization = :organization"
        " AND m.id = queue_recipients.message",
        id=number,
        warning=warning,
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
