"""Rules for letters that come in or go out as rows; their patterns are JSON texts, read by `policy.flow_rules`."""

from postroom.storage.engine import Tx

Row = tuple[str, str, str, str, str, str]
_COLUMNS = "direction, name, action, message, senders, destinations"


def page(tx: Tx, direction: str) -> list[Row]:
    """List all of one direction: (direction, name, action, message, senders, destinations), in order of name."""
    return [
        (row[0], row[1], row[2], row[3], row[4], row[5])
        for row in tx.all(
            f"SELECT {_COLUMNS} FROM flow_rules WHERE organization = :organization AND direction = :direction ORDER BY name",
            direction=direction,
        )
    ]


def put(tx: Tx, *, direction: str, name: str, action: str, message: str, senders: str, destinations: str) -> None:
    """Put a rule in the place of the one of that direction and name."""
    tx.run(
        f"INSERT INTO flow_rules (organization, {_COLUMNS})"
        " VALUES (:organization, :direction, :name, :action, :message, :senders, :destinations)"
        " ON CONFLICT (organization, direction, name) DO UPDATE SET action = excluded.action, message = excluded.message,"
        " senders = excluded.senders, destinations = excluded.destinations",
        direction=direction,
        name=name,
        action=action,
        message=message,
        senders=senders,
        destinations=destinations,
    )


def delete(tx: Tx, *, direction: str, name: str) -> int:
    """Remove a rule; counts rows."""
    return tx.run(
        "DELETE FROM flow_rules WHERE organization = :organization AND direction = :direction AND name = :name",
        direction=direction,
        name=name,
    )
