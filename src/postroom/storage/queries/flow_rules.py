"""Rules for letters that come in or go out as rows; their patterns are JSON texts, read by `policy.flow_rules`."""

from collections.abc import Mapping
from typing import Any

from postroom.storage.engine import Tx

Row = tuple[Any, ...]
_COLUMNS = "direction, name, action, message, senders, destinations, target, waits, minutes, fallback, configured"


def page(tx: Tx, direction: str) -> list[Row]:
    """List all of one direction as `_COLUMNS` say, in order of name."""
    return tx.all(
        f"SELECT {_COLUMNS} FROM flow_rules WHERE organization = :organization AND direction = :direction ORDER BY name",
        direction=direction,
    )


def put(tx: Tx, values: Mapping[str, Any]) -> None:
    """Put a rule, each column by its name, in the place of the one of that direction and name."""
    names = _COLUMNS.split(", ")
    tx.run(
        f"INSERT INTO flow_rules (organization, {_COLUMNS}) VALUES (:organization, {', '.join(f':{name}' for name in names)})"
        " ON CONFLICT (organization, direction, name) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in names[2:]),
        **values,
    )


def delete(tx: Tx, *, direction: str, name: str) -> int:
    """Remove a rule; counts rows."""
    return tx.run(
        "DELETE FROM flow_rules WHERE organization = :organization AND direction = :direction AND name = :name",
        direction=direction,
        name=name,
    )
