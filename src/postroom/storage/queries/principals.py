"""Users of the API, their access keys, inline policies of users and roles, and the API's own secrets, as rows of the registry."""

import secrets

from postroom.model.principals import AccessKey, User
from postroom.storage.engine import Tx

_USER = "id, name, path, created_at"
_KEY = (
    "SELECT k.id, k.secret, k.user_id, u.name, k.status, k.created_at, k.last_used_at, k.last_used_service"
    " FROM iam_access_keys k JOIN iam_users u ON u.id = k.user_id"
)


def insert_user(tx: Tx, user: User) -> None:
    """Insert a user."""
    tx.run(
        "INSERT INTO iam_users (id, name, folded, path, created_at) VALUES (:id, :name, :folded, :path, :created_at)",
        id=user.id,
        name=user.name,
        folded=user.name.lower(),
        path=user.path,
        created_at=user.created_at,
    )


def find_user(tx: Tx, user_id: str) -> User | None:
    """Find a user by its id."""
    row = tx.one(f"SELECT {_USER} FROM iam_users WHERE id = :id", id=user_id)
    return User(*row) if row else None


def find_user_by_name(tx: Tx, name: str) -> User | None:
    """Find a user by its name, ignoring case."""
    row = tx.one(f"SELECT {_USER} FROM iam_users WHERE folded = :folded", folded=name.lower())
    return User(*row) if row else None


def page_users(tx: Tx, *, prefix: str, after: str, limit: int) -> list[User]:
    """List users whose path begins with `prefix`, by their names in lower case, behind the name `after`."""
    rows = tx.all(
        f"SELECT {_USER} FROM iam_users WHERE folded > :after AND substr(path, 1, :length) = :prefix ORDER BY folded LIMIT :limit",
        after=after,
        prefix=prefix,
        length=len(prefix),
        limit=limit,
    )
    return [User(*row) for row in rows]


def count_users(tx: Tx) -> int:
    """Count all users."""
    return _count(tx.one("SELECT COUNT(*) FROM iam_users"))


def delete_user(tx: Tx, user_id: str) -> None:
    """Delete a user."""
    tx.run("DELETE FROM iam_users WHERE id = :id", id=user_id)


def insert_key(tx: Tx, key: AccessKey) -> None:
    """Insert an access key."""
    tx.run(
        "INSERT INTO iam_access_keys (id, secret, user_id, status, created_at) VALUES (:id, :secret, :user_id, :status, :created_at)",
        id=key.id,
        secret=key.secret,
        user_id=key.user_id,
        status=key.status,
        created_at=key.created_at,
    )


def find_key(tx: Tx, key_id: str) -> AccessKey | None:
    """Find an access key by its id."""
    row = tx.one(f"{_KEY} WHERE k.id = :id", id=key_id)
    return AccessKey(*row) if row else None


def keys(tx: Tx) -> list[AccessKey]:
    """List all access keys, oldest first."""
    return [AccessKey(*row) for row in tx.all(f"{_KEY} ORDER BY k.created_at, k.id")]


def keys_of(tx: Tx, user_id: str) -> list[AccessKey]:
    """List a user's access keys, oldest first."""
    return [AccessKey(*row) for row in tx.all(f"{_KEY} WHERE k.user_id = :user_id ORDER BY k.created_at, k.id", user_id=user_id)]


def set_key_status(tx: Tx, key_id: str, status: str) -> int:
    """Change a key's status; counts rows."""
    return tx.run("UPDATE iam_access_keys SET status = :status WHERE id = :id", id=key_id, status=status)


def set_key_used(tx: Tx, key_id: str, at: float, service: str) -> None:
    """Note when a key was last used, in epoch seconds, and for which service."""
    tx.run("UPDATE iam_access_keys SET last_used_at = :at, last_used_service = :service WHERE id = :id", id=key_id, at=at, service=service)


def delete_key(tx: Tx, key_id: str) -> int:
    """Delete a key; counts rows."""
    return tx.run("DELETE FROM iam_access_keys WHERE id = :id", id=key_id)


def put_policy(tx: Tx, owner: str, name: str, document: str) -> None:
    """Write an inline policy of a user or a role, over one of the same name."""
    tx.run(
        "INSERT INTO iam_policies (owner, name, document) VALUES (:owner, :name, :document)"
        " ON CONFLICT (owner, name) DO UPDATE SET document = excluded.document",
        owner=owner,
        name=name,
        document=document,
    )


def policies(tx: Tx, owner: str) -> dict[str, str]:
    """Give all inline policies of a user or a role: documents by name, in order."""
    return dict(tx.all("SELECT name, document FROM iam_policies WHERE owner = :owner ORDER BY name", owner=owner))


def delete_policy(tx: Tx, owner: str, name: str) -> int:
    """Delete an inline policy; counts rows."""
    return tx.run("DELETE FROM iam_policies WHERE owner = :owner AND name = :name", owner=owner, name=name)


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


def _count(row: tuple[int, ...] | None) -> int:
    assert row is not None
    return row[0]
