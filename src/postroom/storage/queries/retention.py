"""The retention policy of an organization; its rules are one JSON text, read by `policy.retention`."""

from postroom.storage.engine import Tx

Row = tuple[str, str, str | None, str]


def find(tx: Tx) -> Row | None:
    """Find (id, name, description, rules)."""
    row = tx.one("SELECT id, name, description, rules FROM retention_policies WHERE organization = :organization")
    return None if row is None else (row[0], row[1], row[2], row[3])


def insert(tx: Tx, *, id: str, name: str, description: str | None, rules: str) -> None:
    """Put the policy, replacing the one before."""
    tx.run(
        "INSERT INTO retention_policies (organization, id, name, description, rules)"
        " VALUES (:organization, :id, :name, :description, :rules) ON CONFLICT (organization) DO UPDATE SET"
        " id = excluded.id, name = excluded.name, description = excluded.description, rules = excluded.rules",
        id=id,
        name=name,
        description=description,
        rules=rules,
    )


def delete(tx: Tx, id: str) -> None:
    """Remove the policy, if it has this id."""
    tx.run("DELETE FROM retention_policies WHERE organization = :organization AND id = :id", id=id)
