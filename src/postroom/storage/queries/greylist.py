"""Networks that were told to come again later, and those that did."""

from postroom.storage.engine import Tx


def find(tx: Tx, key: str) -> tuple[int, int, int] | None:
    """Find (passed, first_at, seen_at), times in epoch seconds."""
    row = tx.one("SELECT passed, first_at, seen_at FROM greylist WHERE organization = :organization AND key = :key", key=key)
    return None if row is None else (row[0], row[1], row[2])


def note(tx: Tx, key: str, *, passed: bool, first_at: int) -> None:
    """Write down that a key was seen now."""
    tx.run(
        "INSERT INTO greylist (organization, key, passed, first_at, seen_at) VALUES (:organization, :key, :passed, :first_at, :now)"
        " ON CONFLICT (organization, key) DO UPDATE SET passed = excluded.passed, first_at = excluded.first_at, seen_at = excluded.seen_at",
        key=key,
        passed=int(passed),
        first_at=first_at,
        now=int(tx.now),
    )


def purge(tx: Tx, *, passed: bool, before: float, limit: int) -> int:
    """Forget some that were last seen before a time (epoch seconds); counts rows."""
    return tx.run(
        "DELETE FROM greylist WHERE organization = :organization AND key IN (SELECT g.key FROM greylist g"
        " WHERE g.organization = :organization AND g.passed = :passed AND g.seen_at < :before ORDER BY g.seen_at LIMIT :limit)",
        passed=int(passed),
        before=before,
        limit=limit,
    )
