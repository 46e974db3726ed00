"""Integers handed out one by one within an organization, and numbers that are kept rather than counted."""

from postroom.storage.engine import Tx


def next(tx: Tx, name: str, n: int = 1) -> int:
    """Give the first of `n` fresh integers; the first ever is 1."""
    return add(tx, name, n) - n + 1


def add(tx: Tx, name: str, n: int) -> int:
    """Add to a counter, which begins at 0, and give what it says then."""
    row = tx.one(
        "INSERT INTO counters (organization, name, value) VALUES (:organization, :name, :n)"
        " ON CONFLICT (organization, name) DO UPDATE SET value = counters.value + :n RETURNING value",
        name=name,
        n=n,
    )
    assert row is not None
    value: int = row[0]
    return value


def next_moment(tx: Tx, name: str) -> int:
    """Give an integer greater than any before and no smaller than the time; epoch seconds."""
    row = tx.one(
        "INSERT INTO counters (organization, name, value) VALUES (:organization, :name, :now)"
        " ON CONFLICT (organization, name) DO UPDATE"
        " SET value = CASE WHEN counters.value >= :now THEN counters.value + 1 ELSE :now END RETURNING value",
        name=name,
        now=int(tx.now),
    )
    assert row is not None
    value: int = row[0]
    return value


def find(tx: Tx, name: str) -> int | None:
    """Find the last integer handed out or put."""
    row = tx.one("SELECT value FROM counters WHERE organization = :organization AND name = :name", name=name)
    return None if row is None else int(row[0])


def put(tx: Tx, name: str, value: int) -> None:
    """Set what a counter says."""
    tx.run(
        "INSERT INTO counters (organization, name, value) VALUES (:organization, :name, :value)"
        " ON CONFLICT (organization, name) DO UPDATE SET value = :value",
        name=name,
        value=value,
    )
