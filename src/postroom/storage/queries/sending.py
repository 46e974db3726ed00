"""How many recipients each entity has written to on each day; the entity '' stands for all of them together."""

from postroom.storage.engine import Tx


def add(tx: Tx, entity: str, day: int, kind: str, recipients: int) -> int:
    """Count recipients of a day (days since 1970); give the day's total. Older days of the entity are forgotten."""
    row = tx.one(
        "INSERT INTO sending (organization, entity, day, kind, recipients) VALUES (:organization, :entity, :day, :kind, :recipients)"
        " ON CONFLICT (organization, entity, day, kind) DO UPDATE SET recipients = sending.recipients + :recipients"
        " RETURNING recipients",
        entity=entity,
        day=day,
        kind=kind,
        recipients=recipients,
    )
    assert row is not None
    total: int = row[0]
    if total == recipients:
        tx.run("DELETE FROM sending WHERE organization = :organization AND entity = :entity AND day < :day", entity=entity, day=day)
    return total


def purge(tx: Tx, *, before: int, limit: int) -> int:
    """Forget some days before a day (days since 1970); counts rows."""
    return tx.run(
        "DELETE FROM sending WHERE organization = :organization AND (entity, day, kind) IN (SELECT entity, day, kind FROM sending"
        " WHERE organization = :organization AND day < :before ORDER BY day LIMIT :limit)",
        before=before,
        limit=limit,
    )


def total(tx: Tx, entity: str, day: int, kind: str) -> int:
    """Count the recipients of a day."""
    row = tx.one(
        "SELECT recipients FROM sending WHERE organization = :organization AND entity = :entity AND day = :day AND kind = :kind",
        entity=entity,
        day=day,
        kind=kind,
    )
    return 0 if row is None else int(row[0])
