"""Who writes to how many others in an hour, and whose mail is held back for it."""

from typing import Any

from postroom.storage.engine import Tx

Row = tuple[Any, ...]
_WATCHED = "entity, since, trusted_until, reason, letters, octets"


def add(tx: Tx, entity: str, hour: int, recipients: int) -> int:
    """Count recipients in an hour (hours since 1970); give the hour's total."""
    row = tx.one(
        "INSERT INTO sending_hours (organization, entity, day, hour, recipients, busiest)"
        " VALUES (:organization, :entity, :day, :hour, :recipients, 0)"
        " ON CONFLICT (organization, entity, day) DO UPDATE SET"
        " busiest = CASE WHEN sending_hours.hour <> :hour AND sending_hours.recipients > sending_hours.busiest"
        " THEN sending_hours.recipients ELSE sending_hours.busiest END,"
        " recipients = CASE WHEN sending_hours.hour = :hour THEN sending_hours.recipients + :recipients ELSE :recipients END,"
        " hour = :hour RETURNING recipients",
        entity=entity,
        day=hour // 24,
        hour=hour,
        recipients=recipients,
    )
    assert row is not None
    total: int = row[0]
    return total


def busiest(tx: Tx, entity: str, day: int, days: int) -> int:
    """Give the most recipients of an hour in so many days before a day (days since 1970); 0 when there were none."""
    row = tx.one(
        "SELECT MAX(CASE WHEN busiest > recipients THEN busiest ELSE recipients END) FROM sending_hours"
        " WHERE organization = :organization AND entity = :entity AND day >= :first AND day < :day",
        entity=entity,
        first=day - days,
        day=day,
    )
    return int(row[0]) if row is not None and row[0] is not None else 0


def forget(tx: Tx, entity: str, *, day: int) -> int:
    """Forget what an entity has written from a day on (days since 1970); counts days."""
    return tx.run(
        "DELETE FROM sending_hours WHERE organization = :organization AND entity = :entity AND day >= :day", entity=entity, day=day
    )


def purge(tx: Tx, *, before: int, limit: int) -> int:
    """Forget some of what was written before a day (days since 1970); counts rows."""
    return tx.run(
        "DELETE FROM sending_hours WHERE organization = :organization AND (entity, day) IN (SELECT entity, day FROM sending_hours"
        " WHERE organization = :organization AND day < :before ORDER BY day LIMIT :limit)",
        before=before,
        limit=limit,
    )


def find(tx: Tx, entity: str) -> Row | None:
    """Find (entity, since, trusted_until, reason, letters, octets) of a sender who is watched."""
    return tx.one(f"SELECT {_WATCHED} FROM watched_senders WHERE organization = :organization AND entity = :entity", entity=entity)


def put(tx: Tx, entity: str, *, trusted_until: int, reason: str) -> None:
    """Hold the mail of a sender back from now on (`trusted_until` 0), or believe the sender until a time, epoch seconds."""
    tx.run(
        "INSERT INTO watched_senders (organization, entity, since, trusted_until, reason, letters, octets)"
        " VALUES (:organization, :entity, :now, :until, :reason, 0, 0) ON CONFLICT (organization, entity)"
        " DO UPDATE SET since = :now, trusted_until = :until, reason = :reason, letters = 0, octets = 0",
        entity=entity,
        until=trusted_until,
        reason=reason,
        now=int(tx.now),
    )


def hold(tx: Tx, entity: str, *, letters: int, octets: int) -> None:
    """Count letters that are held back."""
    tx.run(
        "UPDATE watched_senders SET letters = letters + :letters, octets = octets + :octets"
        " WHERE organization = :organization AND entity = :entity",
        entity=entity,
        letters=letters,
        octets=octets,
    )


def delete(tx: Tx, entity: str) -> bool:
    """Watch a sender no more than any other; False when that was so."""
    return bool(tx.run("DELETE FROM watched_senders WHERE organization = :organization AND entity = :entity", entity=entity))


def lapse(tx: Tx) -> int:
    """Forget the trust that has run out; counts senders."""
    return tx.run("DELETE FROM watched_senders WHERE organization = :organization AND trusted_until BETWEEN 1 AND :now", now=int(tx.now))


def page(tx: Tx, *, after: str, limit: int) -> list[Row]:
    """List those watched behind one by id, as `find` gives them."""
    return tx.all(
        f"SELECT {_WATCHED} FROM watched_senders WHERE organization = :organization AND entity > :after ORDER BY entity LIMIT :limit",
        after=after,
        limit=limit,
    )


def waiting(tx: Tx, author: str, *, since: float) -> list[Row]:
    """List (id, destination, domain, holder, message, size) of a user's queued copies that nobody holds back, queued since a time.

    The time is in epoch seconds. Goes through all queued messages, so it is for alarms.
    """
    return tx.all(
        "SELECT r.id, r.destination, r.domain, r.holder, m.id, m.size FROM queue_messages m"
        " JOIN queue_recipients r ON r.organization = m.organization AND r.message = m.id WHERE m.organization = :organization"
        " AND m.author = :author AND m.queued_at >= :since AND r.held_by = '' ORDER BY r.id",
        author=author,
        since=since,
    )


def held(tx: Tx, by: str, *, limit: int, sending: bool) -> list[tuple[int, str]]:
    """List (id, destination) of the first queued copies that somebody holds back, with those that a carrier has if `sending`."""
    idle = "" if sending else " AND holder = ''"
    rows = tx.all(
        "SELECT id, destination FROM queue_recipients WHERE organization = :organization AND held_by = :by AND held_by <> ''"
        f"{idle} ORDER BY id LIMIT :limit",
        by=by,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


def count_held(tx: Tx, by: str) -> int:
    """Count queued copies that somebody holds back."""
    row = tx.one("SELECT COUNT(*) FROM queue_recipients WHERE organization = :organization AND held_by = :by AND held_by <> ''", by=by)
    return row[0] if row else 0
