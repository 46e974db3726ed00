"""Access control rules as rows; what a rule asks for is one JSON text, read by `policy.access_rules`."""

from postroom.storage.engine import Tx


def page(tx: Tx) -> list[tuple[object, ...]]:
    """List all (name, effect, description, conditions, created_at, modified_at), in order of name."""
    return tx.all(
        "SELECT name, effect, description, conditions, created_at, modified_at FROM access_rules "
        "WHERE organization = :organization ORDER BY name"
    )


def insert(tx: Tx, *, name: str, effect: str, description: str, conditions: str, at: float) -> None:
    """Put a rule, replacing the one of the same name but for its time of creation; `at` is epoch seconds."""
    tx.run(
        "INSERT INTO access_rules (organization, name, effect, description, conditions, created_at, modified_at) "
        "VALUES (:organization, :name, :effect, :description, :conditions, :at, :at) "
        "ON CONFLICT (organization, name) DO UPDATE SET effect = excluded.effect, description = excluded.description, "
        "conditions = excluded.conditions, modified_at = excluded.modified_at",
        name=name,
        effect=effect,
        description=description,
        conditions=conditions,
        at=at,
    )


def insert_default(tx: Tx) -> None:
    """Put the rule every organization starts with, which allows everything (WorkMail API: ListAccessControlRules)."""
    insert(tx, name="default", effect="ALLOW", description="Default WorkMail Rule", conditions="{}", at=0.0)


def count(tx: Tx, *, besides: str) -> int:
    """Count the rules of other names."""
    row = tx.one("SELECT count(*) FROM access_rules WHERE organization = :organization AND name <> :name", name=besides)
    return int(row[0]) if row else 0


def delete(tx: Tx, name: str) -> int:
    """Remove a rule; counts rows."""
    return tx.run("DELETE FROM access_rules WHERE organization = :organization AND name = :name", name=name)
