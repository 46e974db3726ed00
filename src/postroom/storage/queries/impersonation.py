"""Impersonation roles and their living tokens as rows; the rules of a role are one JSON text, read by `policy.impersonation`."""

from postroom.storage.engine import Tx

_COLUMNS = "id, name, type, rules, description, created_at, modified_at"


def find(tx: Tx, id: str) -> tuple[object, ...] | None:
    """Find a role: (id, name, type, rules, description, created_at, modified_at)."""
    return tx.one(f"SELECT {_COLUMNS} FROM impersonation_roles WHERE organization = :organization AND id = :id", id=id)


def page(tx: Tx, *, after: str, limit: int) -> list[tuple[object, ...]]:
    """List roles behind an id, in order of id."""
    return tx.all(
        f"SELECT {_COLUMNS} FROM impersonation_roles WHERE organization = :organization AND id > :after ORDER BY id LIMIT :limit",
        after=after,
        limit=limit,
    )


def count(tx: Tx) -> int:
    """Count an organization's roles."""
    row = tx.one("SELECT COUNT(*) FROM impersonation_roles WHERE organization = :organization")
    return int(row[0]) if row else 0


def insert(tx: Tx, id: str, *, name: str, type: str, description: str | None, rules: str) -> None:
    """Add a role."""
    tx.run(
        "INSERT INTO impersonation_roles (organization, id, name, type, description, rules, created_at, modified_at) "
        "VALUES (:organization, :id, :name, :type, :description, :rules, :now, :now)",
        id=id,
        name=name,
        type=type,
        description=description,
        rules=rules,
        now=tx.now,
    )


def update(tx: Tx, id: str, *, name: str, type: str, description: str | None, rules: str) -> int:
    """Replace all of a role but its time of creation; counts rows."""
    return tx.run(
        "UPDATE impersonation_roles SET name = :name, type = :type, description = :description, rules = :rules, modified_at = :now "
        "WHERE organization = :organization AND id = :id",
        id=id,
        name=name,
        type=type,
        description=description,
        rules=rules,
        now=tx.now,
    )


def delete(tx: Tx, id: str) -> None:
    """Remove a role and its tokens."""
    tx.run("DELETE FROM impersonation_tokens WHERE organization = :organization AND role = :id", id=id)
    tx.run("DELETE FROM impersonation_roles WHERE organization = :organization AND id = :id", id=id)


def insert_token(tx: Tx, digest: bytes, *, role: str, expires_at: float) -> None:
    """Add a token of a role; `expires_at` is epoch seconds."""
    tx.run(
        "INSERT INTO impersonation_tokens (organization, digest, role, expires_at) VALUES (:organization, :digest, :role, :expires_at)",
        digest=digest,
        role=role,
        expires_at=expires_at,
    )


def find_by_token(tx: Tx, digest: bytes) -> tuple[object, ...] | None:
    """Find the role of a token that still lives, as `find` does."""
    row = tx.one(
        "SELECT role FROM impersonation_tokens WHERE organization = :organization AND digest = :digest AND expires_at > :now",
        digest=digest,
        now=tx.now,
    )
    return find(tx, row[0]) if row else None


def count_tokens(tx: Tx, role: str) -> int:
    """Count the living tokens of a role."""
    row = tx.one(
        "SELECT COUNT(*) FROM impersonation_tokens WHERE organization = :organization AND role = :role AND expires_at > :now",
        role=role,
        now=tx.now,
    )
    return int(row[0]) if row else 0


def expired(tx: Tx) -> bool:
    """Say whether there is a token that has expired."""
    return (
        tx.one(
            "SELECT digest FROM impersonation_tokens WHERE organization = :organization AND expires_at <= :now LIMIT 1",
            now=tx.now,
        )
        is not None
    )


def delete_expired(tx: Tx, limit: int) -> int:
    """Remove tokens that have expired, at most `limit`; counts rows."""
    return tx.run(
        "DELETE FROM impersonation_tokens WHERE organization = :organization AND digest IN (SELECT digest FROM impersonation_tokens "
        "WHERE organization = :organization AND expires_at <= :now ORDER BY expires_at LIMIT :limit)",
        now=tx.now,
        limit=limit,
    )
