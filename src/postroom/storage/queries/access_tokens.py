"""Personal access tokens as rows; the scopes of one are a JSON text, read by `policy.tokens`."""

from postroom.storage.engine import Tx

Row = tuple[object, ...]

_COLUMNS = "t.id, t.entity, t.name, t.scopes, t.created_at, t.expires_at, t.used_at"
_SELECT = f"SELECT {_COLUMNS} FROM access_tokens t WHERE t.organization = :organization"


def find(tx: Tx, id: str) -> Row | None:
    """Find by id: (id, entity, name, scopes, created_at, expires_at or None, used_at or None)."""
    return tx.one(f"{_SELECT} AND t.id = :id", id=id)


def find_by_digest(tx: Tx, digest: bytes) -> Row | None:
    """Find by the digest of the token itself, as `find` does."""
    return tx.one(f"{_SELECT} AND t.digest = :digest", digest=digest)


def page(tx: Tx, *, entity: str | None, after: str, limit: int) -> list[Row]:
    """List tokens behind an id, in order of id: those of one user, or of all."""
    if entity is None:
        return tx.all(f"{_SELECT} AND t.id > :after ORDER BY t.id LIMIT :limit", after=after, limit=limit)
    return tx.all(f"{_SELECT} AND t.entity = :entity AND t.id > :after ORDER BY t.id LIMIT :limit", entity=entity, after=after, limit=limit)


def count(tx: Tx, entity: str) -> int:
    """Count the tokens of a user that have not expired."""
    row = tx.one(
        "SELECT COUNT(*) FROM access_tokens WHERE organization = :organization AND entity = :entity "
        "AND (expires_at IS NULL OR expires_at > :now)",
        entity=entity,
        now=tx.now,
    )
    return int(row[0]) if row else 0


def insert(tx: Tx, id: str, *, digest: bytes, entity: str, name: str, scopes: str, expires_at: float | None) -> None:
    """Add a token; `expires_at` is epoch seconds."""
    tx.run(
        "INSERT INTO access_tokens (organization, id, digest, entity, name, scopes, created_at, expires_at) "
        "VALUES (:organization, :id, :digest, :entity, :name, :scopes, :now, :expires_at)",
        id=id,
        digest=digest,
        entity=entity,
        name=name,
        scopes=scopes,
        now=tx.now,
        expires_at=expires_at,
    )


def note_use(tx: Tx, id: str, at: float) -> None:
    """Note when a token was used, which is never taken back; `at` is epoch seconds."""
    tx.run(
        "UPDATE access_tokens SET used_at = :at WHERE organization = :organization AND id = :id AND (used_at IS NULL OR used_at < :at)",
        id=id,
        at=at,
    )


def expired(tx: Tx, limit: int) -> list[Row]:
    """List tokens that have expired, as `find` does, at most `limit`."""
    return tx.all(f"{_SELECT} AND t.expires_at <= :now ORDER BY t.expires_at LIMIT :limit", now=tx.now, limit=limit)


def delete(tx: Tx, id: str) -> None:
    """Remove a token."""
    tx.run("DELETE FROM access_tokens WHERE organization = :organization AND id = :id", id=id)


def delete_all(tx: Tx, entity: str) -> None:
    """Remove all tokens of a user."""
    tx.run("DELETE FROM access_tokens WHERE organization = :organization AND entity = :entity", entity=entity)
