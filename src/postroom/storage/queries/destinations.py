"""Where queued mail goes next: one row a destination, as long as anything waits for it."""

from collections.abc import Iterable, Mapping
from typing import Any

from postroom.storage.engine import Tx

Row = tuple[Any, ...]
_COLUMNS = "destination, due_at, claimed_until, blocked_until, since, young_at, tried_at, failures, status, host, reply"


def find(tx: Tx, destination: str) -> Row | None:
    """Find (destination, due_at, claimed_until, blocked_until, since, young_at, tried_at, failures, status, host, reply)."""
    return tx.one(
        f"SELECT {_COLUMNS} FROM queue_destinations WHERE organization = :organization AND destination = :destination",
        destination=destination,
    )


def page(tx: Tx, *, after: str, limit: int) -> list[Row]:
    """List destinations behind one by name, as `find` gives them."""
    return tx.all(
        f"SELECT {_COLUMNS} FROM queue_destinations WHERE organization = :organization AND destination > :after"
        " ORDER BY destination LIMIT :limit",
        after=after,
        limit=limit,
    )


def due(tx: Tx, limit: int) -> list[tuple[str, float]]:
    """List (destination, blocked_until) of those that may be tried, longest due first."""
    rows = tx.all(
        "SELECT destination, blocked_until FROM queue_destinations WHERE organization = :organization AND due_at <= :now"
        " ORDER BY due_at, destination LIMIT :limit",
        now=tx.now,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


def next_due(tx: Tx) -> float | None:
    """Give when the next destination may be tried, epoch seconds; None when nothing is queued."""
    row = tx.one("SELECT due_at FROM queue_destinations WHERE organization = :organization ORDER BY due_at LIMIT 1")
    return None if row is None else row[0]


def put(tx: Tx, destination: str, values: Mapping[str, Any]) -> None:
    """Write a destination down, whether it is known or not."""
    names = list(values)
    tx.run(
        f"INSERT INTO queue_destinations (organization, destination, {', '.join(names)})"
        f" VALUES (:organization, :destination, {', '.join(f':{name}' for name in names)})"
        f" ON CONFLICT (organization, destination) DO UPDATE SET {', '.join(f'{name} = :{name}' for name in names)}",
        destination=destination,
        **values,
    )


def update(tx: Tx, destination: str, **values: Any) -> bool:
    """Change a destination; False when it is not known."""
    words = ", ".join(f"{name} = :{name}" for name in values)
    return bool(
        tx.run(
            f"UPDATE queue_destinations SET {words} WHERE organization = :organization AND destination = :destination",
            destination=destination,
            **values,
        )
    )


def delete(tx: Tx, destination: str) -> None:
    """Forget a destination."""
    tx.run("DELETE FROM queue_destinations WHERE organization = :organization AND destination = :destination", destination=destination)


def claim(tx: Tx, destinations: Iterable[str], *, until: float) -> None:
    """Take destinations for a carrier that has work for them, until a time (epoch seconds)."""
    tx.many(
        "UPDATE queue_destinations SET claimed_until = :until, due_at = :until WHERE organization = :organization"
        " AND destination = :destination",
        [{"destination": destination, "until": until} for destination in destinations],
    )


def claimed(tx: Tx) -> list[str]:
    """List the destinations that are claimed."""
    return [
        row[0]
        for row in tx.all("SELECT destination FROM queue_destinations WHERE organization = :organization AND claimed_until > 0")
    ]
