"""Calls of hooks that have not been answered yet; `details` are JSON, read by `mailflow.hooks`."""

from typing import Any

from postroom.storage.engine import Tx
from postroom.storage.queries import counters

Row = tuple[int, int, int, str, str]
_COLUMNS = "id, content, attempts, last_reply, details"


def insert(tx: Tx, *, content: int, details: str) -> int:
    """Note a call that is due now; gives its id."""
    number = counters.next(tx, "hook_call")
    tx.run(
        "INSERT INTO hook_calls (organization, id, content, due_at, holder, attempts, last_reply, details)"
        " VALUES (:organization, :id, :content, :now, '', 0, '', :details)",
        id=number,
        content=content,
        now=tx.now,
        details=details,
    )
    return number


def due(tx: Tx, limit: int) -> list[Row]:
    """List (id, content, attempts, last_reply, details) of what is due, longest due first."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM hook_calls WHERE organization = :organization AND due_at <= :now ORDER BY due_at, id LIMIT :limit",
        now=tx.now,
        limit=limit,
    )
    return [_row(row) for row in rows]


def page(tx: Tx, *, after: int, limit: int) -> list[tuple[Row, float]]:
    """List calls behind an id, each as `due` gives it and when it is due, epoch seconds."""
    rows = tx.all(
        f"SELECT {_COLUMNS}, due_at FROM hook_calls WHERE organization = :organization AND id > :after ORDER BY id LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [(_row(row), row[5]) for row in rows]


def next_due(tx: Tx) -> float | None:
    """Give when the next call is due, epoch seconds; None when there is none."""
    row = tx.one("SELECT due_at FROM hook_calls WHERE organization = :organization ORDER BY due_at LIMIT 1")
    return None if row is None else row[0]


def lease(tx: Tx, number: int, *, holder: str, until: float) -> None:
    """Give a call to a holder until a time, epoch seconds."""
    tx.run(
        "UPDATE hook_calls SET holder = :holder, due_at = :until WHERE organization = :organization AND id = :id",
        id=number,
        holder=holder,
        until=until,
    )


def reclaim(tx: Tx, *, holder: str) -> int:
    """Take what other holders have leased away from them, due at once; counts rows."""
    return tx.run(
        "UPDATE hook_calls SET holder = '', due_at = :now WHERE organization = :organization AND holder <> '' AND holder <> :holder",
        holder=holder,
        now=tx.now,
    )


def put_back(tx: Tx, number: int, *, holder: str, due_at: float, attempts: int, last_reply: str) -> bool:
    """Give a call back, due again at a time; False when the holder has lost it."""
    return bool(
        tx.run(
            "UPDATE hook_calls SET holder = '', due_at = :due_at, attempts = :attempts, last_reply = :last_reply"
            " WHERE organization = :organization AND id = :id AND holder = :holder",
            id=number,
            holder=holder,
            due_at=due_at,
            attempts=attempts,
            last_reply=last_reply,
        )
    )


def delete(tx: Tx, number: int, *, holder: str) -> bool:
    """Remove a call that is done with; False when the holder has lost it."""
    found = tx.run("DELETE FROM hook_calls WHERE organization = :organization AND id = :id AND holder = :holder", id=number, holder=holder)
    return bool(found)


def _row(row: tuple[Any, ...]) -> Row:
    return row[0], row[1], row[2], row[3], row[4]
