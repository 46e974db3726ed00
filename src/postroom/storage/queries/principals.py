"""Access keys of the API, and its own secrets, as rows of the registry."""

import secrets
from dataclasses import dataclass

from postroom.storage.engine import Tx

_COLUMNS = "id, secret, session_token, name, status, policy, created_at, last_used_at"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key as stored; `policy` is an IAM policy document, times are epoch seconds."""

    id: str
    secret: str
    session_token: str | None
    name: str
    status: str
    policy: str
    created_at: float
    last_used_at: float | None

    def __repr__(self) -> str:
        return f"AccessKey({self.id!r}, {self.name!r}, {self.status!r})"


def insert(tx: Tx, key: AccessKey) -> None:
    """Insert an access key."""
    tx.run(
        "INSERT INTO access_keys (id, secret, session_token, name, status, policy, created_at)"
        " VALUES (:id, :secret, :session_token, :name, :status, :policy, :created_at)",
        id=key.id,
        secret=key.secret,
        session_token=key.session_token,
        name=key.name,
        status=key.status,
        policy=key.policy,
        created_at=key.created_at,
    )


def find(tx: Tx, key_id: str) -> AccessKey | None:
    """Find an access key by its id."""
    row = tx.one(f"SELECT {_COLUMNS} FROM access_keys WHERE id = :id", id=key_id)
    return AccessKey(*row) if row else None


def page(tx: Tx) -> list[AccessKey]:
    """List all access keys, oldest first."""
    return [AccessKey(*row) for row in tx.all(f"SELECT {_COLUMNS} FROM access_keys ORDER BY created_at, id")]


def set_status(tx: Tx, key_id: str, status: str) -> int:
    """Change a key's status; counts rows."""
    return tx.run("UPDATE access_keys SET status = :status WHERE id = :id", id=key_id, status=status)


def set_last_used(tx: Tx, key_id: str, at: float) -> None:
    """Note when a key was last used; epoch seconds."""
    tx.run("UPDATE access_keys SET last_used_at = :at WHERE id = :id", id=key_id, at=at)


def delete(tx: Tx, key_id: str) -> int:
    """Delete a key; counts rows."""
    return tx.run("DELETE FROM access_keys WHERE id = :id", id=key_id)


def secret(tx: Tx, name: str) -> bytes:
    """Get a secret of the API, made when it is first asked for."""
    tx.run(
        "INSERT INTO api_secrets (name, secret) VALUES (:name, :secret) ON CONFLICT (name) DO NOTHING",
        name=name,
        secret=secrets.token_bytes(32),
    )
    row = tx.one("SELECT secret FROM api_secrets WHERE name = :name", name=name)
    assert row is not None
    return bytes(row[0])
