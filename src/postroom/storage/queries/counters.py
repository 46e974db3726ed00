"""Integers handed out one by one within an organization."""

from postroom.storage.engine import Tx


def next(tx: Tx, name: str, n: int = 1) -> int:
    """Give the first of `n` fresh integers; the first ever is 1."""
    row = tx.one(
        "INSERT INTO counters (organization, name, value) VALUES (:organization, :name, :n)"
        " ON CONFLICT (organization, name) DO UPDATE SET value = counters.value + :n RETURNING value",
        name=name,
        n=n,
    )
    assert row is not None
    value: int = row[0]
    return value - n + 1


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
