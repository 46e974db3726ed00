"""What users take for junk, as far as no filter has been taught it."""

from collections.abc import Iterable

from postroom.storage.engine import Tx

Row = tuple[int, bool, float, int]


def wanted_until(tx: Tx) -> float:
    """Say until when lessons are wanted, epoch seconds; 0 for never."""
    row = tx.one("SELECT until_at FROM lessons_wanted WHERE organization = :organization")
    return row[0] if row else 0.0


def want(tx: Tx, until: float) -> None:
    """Let lessons be noted until a time, epoch seconds."""
    tx.run(
        "INSERT INTO lessons_wanted (organization, until_at) VALUES (:organization, :until)"
        " ON CONFLICT (organization) DO UPDATE SET until_at = :until",
        until=until,
    )


def roles(tx: Tx, folders: Iterable[int]) -> list[str]:
    """Give the roles of folders, '' for those that have none or are not there."""
    found = (tx.one("SELECT role FROM folders WHERE organization = :organization AND id = :id", id=folder) for folder in folders)
    return [(row[0] if row else None) or "" for row in found]


def count(tx: Tx, most: int) -> int:
    """Count what waits, up to a number."""
    row = tx.one("SELECT COUNT(*) FROM (SELECT 1 FROM lessons WHERE organization = :organization LIMIT :most) l", most=most)
    return row[0] if row else 0


def put(tx: Tx, contents: Iterable[int], *, spam: bool) -> None:
    """Note what contents are, in the place of what was noted of them before."""
    tx.many(
        "INSERT INTO lessons (organization, content, spam, noted_at, due_at, attempts)"
        " VALUES (:organization, :content, :spam, :now, :now, 0)"
        " ON CONFLICT (organization, content) DO UPDATE SET spam = :spam, noted_at = :now, due_at = :now, attempts = 0",
        [{"content": content, "spam": int(spam), "now": tx.now} for content in contents],
    )


def due(tx: Tx, limit: int) -> list[Row]:
    """List (content, spam, noted_at, attempts) of what is due, longest due first; times are epoch seconds."""
    rows = tx.all(
        "SELECT content, spam, noted_at, attempts FROM lessons WHERE organization = :organization AND due_at <= :now"
        " ORDER BY due_at, content LIMIT :limit",
        now=tx.now,
        limit=limit,
    )
    return [(row[0], bool(row[1]), row[2], row[3]) for row in rows]


def postpone(tx: Tx, content: int, noted_at: float, *, due_at: float) -> None:
    """Try a lesson again at a time, unless another has taken its place."""
    tx.run(
        "UPDATE lessons SET due_at = :due_at, attempts = attempts + 1 WHERE organization = :organization AND content = :content"
        " AND noted_at = :noted_at",
        content=content,
        noted_at=noted_at,
        due_at=due_at,
    )


def delete(tx: Tx, content: int, noted_at: float) -> None:
    """Remove a lesson, unless another has taken its place."""
    tx.run(
        "DELETE FROM lessons WHERE organization = :organization AND content = :content AND noted_at = :noted_at",
        content=content,
        noted_at=noted_at,
    )


def delete_all(tx: Tx) -> int:
    """Remove all of them, and want no more; counts lessons."""
    tx.run("DELETE FROM lessons_wanted WHERE organization = :organization")
    return tx.run("DELETE FROM lessons WHERE organization = :organization")
