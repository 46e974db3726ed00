"""Roles and their sessions as rows of the registry."""

from postroom.model.principals import Role, Session
from postroom.storage.engine import Tx

_ROLE = "id, name, path, trust, trusted, description, session_seconds, created_at"
_SESSION = "id, secret, token, role_id, name, policy, created_at, expires_at"


def insert(tx: Tx, role: Role) -> None:
    """Insert a role."""
    tx.run(
        "INSERT INTO iam_roles (id, name, folded, path, trust, trusted, description, session_seconds, created_at)"
        " VALUES (:id, :name, :folded, :path, :trust, :trusted, :description, :session_seconds, :created_at)",
        id=role.id,
        name=role.name,
        folded=role.name.lower(),
        path=role.path,
        trust=role.trust,
        trusted=role.trusted,
        description=role.description,
        session_seconds=role.session_seconds,
        created_at=role.created_at,
    )


def find(tx: Tx, role_id: str) -> Role | None:
    """Find a role by its id."""
    row = tx.one(f"SELECT {_ROLE} FROM iam_roles WHERE id = :id", id=role_id)
    return Role(*row) if row else None


def find_by_name(tx: Tx, name: str) -> Role | None:
    """Find a role by its name, ignoring case."""
    row = tx.one(f"SELECT {_ROLE} FROM iam_roles WHERE folded = :folded", folded=name.lower())
    return Role(*row) if row else None


def page(tx: Tx, *, prefix: str, after: str, limit: int) -> list[Role]:
    """List roles whose path begins with `prefix`, by their names in lower case, behind the name `after`."""
    rows = tx.all(
        f"SELECT {_ROLE} FROM iam_roles WHERE folded > :after AND substr(path, 1, :length) = :prefix ORDER BY folded LIMIT :limit",
        after=after,
        prefix=prefix,
        length=len(prefix),
        limit=limit,
    )
    return [Role(*row) for row in rows]


def count(tx: Tx) -> int:
    """Count all roles."""
    row = tx.one("SELECT COUNT(*) FROM iam_roles")
    return row[0] if row else 0


def set_trust(tx: Tx, role_id: str, trust: str, trusted: str) -> None:
    """Say anew who may assume a role."""
    tx.run("UPDATE iam_roles SET trust = :trust, trusted = :trusted WHERE id = :id", id=role_id, trust=trust, trusted=trusted)


def delete(tx: Tx, role_id: str) -> None:
    """Delete a role and its sessions."""
    tx.run("DELETE FROM iam_sessions WHERE role_id = :id", id=role_id)
    tx.run("DELETE FROM iam_roles WHERE id = :id", id=role_id)


def insert_session(tx: Tx, session: Session) -> None:
    """Insert a session."""
    tx.run(
        f"INSERT INTO iam_sessions ({_SESSION}) VALUES (:id, :secret, :token, :role_id, :name, :policy, :created_at, :expires_at)",
        id=session.id,
        secret=session.secret,
        token=session.token,
        role_id=session.role_id,
        name=session.name,
        policy=session.policy,
        created_at=session.created_at,
        expires_at=session.expires_at,
    )


def find_session(tx: Tx, key_id: str) -> Session | None:
    """Find a session by the id of its key, expired or not."""
    row = tx.one(f"SELECT {_SESSION} FROM iam_sessions WHERE id = :id", id=key_id)
    return Session(*row) if row else None


def count_sessions(tx: Tx, role_id: str) -> int:
    """Count the sessions of a role that have not expired."""
    row = tx.one("SELECT COUNT(*) FROM iam_sessions WHERE role_id = :id AND expires_at > :now", id=role_id, now=tx.now)
    return row[0] if row else 0


def delete_sessions(tx: Tx, before: float) -> int:
    """Delete the sessions that expired before a moment, in epoch seconds; counts rows."""
    return tx.run("DELETE FROM iam_sessions WHERE expires_at < :before", before=before)
