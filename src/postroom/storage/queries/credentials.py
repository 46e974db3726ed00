"""Password hashes as rows."""

from postroom.storage.engine import Tx

_MAY_SIGN_IN = "e.kind = 'USER' AND e.role = 'USER' AND e.state = 'ENABLED'"


def insert(tx: Tx, entity: str, password_hash: str) -> None:
    """Put the hash of a user's password, replacing the one there."""
    tx.run(
        "INSERT INTO credentials (organization, entity, hash, changed_at) VALUES (:organization, :entity, :hash, :now) "
        "ON CONFLICT (organization, entity) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
        entity=entity,
        hash=password_hash,
        now=tx.now,
    )


def find(tx: Tx, entity: str) -> str | None:
    """Find the hash of a user's password."""
    row = tx.one("SELECT hash FROM credentials WHERE organization = :organization AND entity = :entity", entity=entity)
    return row[0] if row else None


def find_by_address(tx: Tx, address: str) -> tuple[str, str, str | None, int | None] | None:
    """Find who may sign in under the key of an address: (id, primary address, hash or None, mailbox); users with a mailbox only."""
    row = tx.one(
        "SELECT e.id, e.email, c.hash, m.id FROM addresses a JOIN entities e ON e.organization = a.organization AND e.id = a.entity "
        "LEFT JOIN credentials c ON c.organization = a.organization AND c.entity = a.entity "
        "LEFT JOIN mailboxes m ON m.organization = a.organization AND m.owner = a.entity AND m.parked_at IS NULL "
        f"WHERE a.organization = :organization AND a.address = :address AND {_MAY_SIGN_IN}",
        address=address,
    )
    return (row[0], row[1], row[2], row[3]) if row else None


def find_of_user(tx: Tx, user: str) -> tuple[str | None] | None:
    """Find (hash or None) of a user who may sign in; None for one who may not."""
    row = tx.one(
        "SELECT c.hash FROM entities e LEFT JOIN credentials c ON c.organization = e.organization AND c.entity = e.id "
        f"WHERE e.organization = :organization AND e.id = :user AND {_MAY_SIGN_IN}",
        user=user,
    )
    return (row[0],) if row else None


def delete(tx: Tx, entity: str) -> None:
    """Remove a user's password."""
    tx.run("DELETE FROM credentials WHERE organization = :organization AND entity = :entity", entity=entity)
