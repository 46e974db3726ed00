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
