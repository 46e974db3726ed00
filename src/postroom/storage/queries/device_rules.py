"""Mobile device access rules as rows; what a rule asks for is one JSON text, read by `policy.device_rules`."""

from postroom.storage.engine import Tx


def page(tx: Tx) -> list[tuple[object, ...]]:
    """List all (id, name, effect, conditions, description, created_at, modified_at), the oldest first."""
    return tx.all(
        "SELECT id, name, effect, conditions, description, created_at, modified_at FROM device_rules "
        "WHERE organization = :organization ORDER BY created_at, id"
    )


def count(tx: Tx) -> int:
    """Count an organization's rules."""
    row = tx.one("SELECT COUNT(*) FROM device_rules WHERE organization = :organization")
    return int(row[0]) if row else 0


def insert(tx: Tx, id: str, *, name: str, effect: str, description: str | None, conditions: str, at: float) -> None:
    """Add a rule; `at` is epoch seconds."""
    tx.run(
        "INSERT INTO device_rules (organization, id, name, effect, description, conditions, created_at, modified_at) "
        "VALUES (:organization, :id, :name, :effect, :description, :conditions, :at, :at)",
        id=id,
        name=name,
        effect=effect,
        description=description,
        conditions=conditions,
        at=at,
    )


def insert_default(tx: Tx) -> None:
    """Put the rule every organization starts with, which allows every device (WorkMail API: ListMobileDeviceAccessRules)."""
    insert(tx, "default", name="default", effect="ALLOW", description="Default WorkMail Rule", conditions="{}", at=0.0)


def update(tx: Tx, id: str, *, name: str, effect: str, description: str | None, conditions: str) -> int:
    """Replace all of a rule but its time of creation; counts rows."""
    return tx.run(
        "UPDATE device_rules SET name = :name, effect = :effect, description = :description, conditions = :conditions, modified_at = :now "
        "WHERE organization = :organization AND id = :id",
        id=id,
        name=name,
        effect=effect,
        description=description,
        conditions=conditions,
        now=tx.now,
    )


def delete(tx: Tx, id: str) -> int:
    """Remove a rule; counts rows."""
    return tx.run("DELETE FROM device_rules WHERE organization = :organization AND id = :id", id=id)
