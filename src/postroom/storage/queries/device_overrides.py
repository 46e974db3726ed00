"""Mobile device access overrides as rows: (user, device id as given, effect, description, created_at, modified_at, its key).

The key of a device is its id in the form in which ids are compared.
"""

from postroom.storage.engine import Tx

_COLUMNS = "entity, spelling, effect, description, created_at, modified_at, device"


def find(tx: Tx, entity: str, device: str) -> tuple[object, ...] | None:
    """Find the override for a device of a user."""
    return tx.one(
        f"SELECT {_COLUMNS} FROM device_overrides WHERE organization = :organization AND entity = :entity AND device = :device",
        entity=entity,
        device=device,
    )


def insert(tx: Tx, entity: str, device: str, *, spelling: str, effect: str, description: str | None) -> None:
    """Put an override, replacing the one there but for its time of creation."""
    tx.run(
        "INSERT INTO device_overrides (organization, entity, device, spelling, effect, description, created_at, modified_at) "
        "VALUES (:organization, :entity, :device, :spelling, :effect, :description, :now, :now) "
        "ON CONFLICT (organization, entity, device) DO UPDATE SET spelling = excluded.spelling, effect = excluded.effect, "
        "description = excluded.description, modified_at = excluded.modified_at",
        entity=entity,
        device=device,
        spelling=spelling,
        effect=effect,
        description=description,
        now=tx.now,
    )


def page(tx: Tx, *, entity: str | None, device: str | None, after: tuple[str, str], limit: int) -> list[tuple[object, ...]]:
    """List overrides behind (user, device), of one user or one device where that is given, in this order."""
    conditions = "".join(f" AND {column} = :{column}" for column, wanted in (("entity", entity), ("device", device)) if wanted is not None)
    values = {name: value for name, value in (("entity", entity), ("device", device)) if value is not None}
    return tx.all(
        f"SELECT {_COLUMNS} FROM device_overrides WHERE organization = :organization{conditions} "
        "AND (entity, device) > (:after_entity, :after_device) ORDER BY entity, device LIMIT :limit",
        after_entity=after[0],
        after_device=after[1],
        limit=limit,
        **values,
    )


def delete(tx: Tx, entity: str, device: str) -> int:
    """Remove an override; counts rows."""
    return tx.run(
        "DELETE FROM device_overrides WHERE organization = :organization AND entity = :entity AND device = :device",
        entity=entity,
        device=device,
    )


def delete_all(tx: Tx, entity: str) -> None:
    """Remove every override for a user."""
    tx.run("DELETE FROM device_overrides WHERE organization = :organization AND entity = :entity", entity=entity)
