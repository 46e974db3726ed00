"""Contents: what an immutable run of bytes says, and the bytes themselves when they are few."""

from typing import Any

from postroom.storage.engine import Tx
from postroom.storage.queries import counters


def find(tx: Tx, hash: bytes) -> int | None:
    """Find a content by its keyed hash."""
    row = tx.one("SELECT id FROM contents WHERE organization = :organization AND hash = :hash", hash=hash)
    return None if row is None else row[0]


def insert(tx: Tx, values: dict[str, Any], data: bytes | None) -> int:
    """Insert a content with its description and its bytes, if they are to live here; gives its id."""
    content = counters.next(tx, "content")
    tx.run(
        "INSERT INTO contents (organization, id, hash, kind, size, file, codec, created_at, sent_at, sent_wall, envelope,"
        ' structure, parts, subject, sender, "to", cc, bcc, message_id, in_reply_to, refs, attachments)'
        " VALUES (:organization, :id, :hash, :kind, :size, :file, :codec, :created_at, :sent_at, :sent_wall, :envelope,"
        " :structure, :parts, :subject, :sender, :to, :cc, :bcc, :message_id, :in_reply_to, :refs, :attachments)",
        id=content,
        created_at=tx.now,
        **values,
    )
    if data is not None:
        tx.run("INSERT INTO blobs (organization, id, data) VALUES (:organization, :id, :data)", id=content, data=data)
    return content


def read(tx: Tx, content: int) -> tuple[bytes | None, str | None, int] | None:
    """Find (bytes or None, file or None, codec)."""
    row = tx.one("SELECT data FROM blobs WHERE organization = :organization AND id = :id", id=content)
    if row is not None:
        return row[0], None, 0
    row = tx.one("SELECT file, codec FROM contents WHERE organization = :organization AND id = :id", id=content)
    return None if row is None or row[0] is None else (None, row[0], row[1])


def last_of_page(tx: Tx, *, after: int, limit: int) -> int | None:
    """Find the last of the next `limit` contents; None at the end."""
    row = tx.one(
        "SELECT max(p.id) FROM (SELECT id FROM contents WHERE organization = :organization AND id > :after ORDER BY id LIMIT :limit) p",
        after=after,
        limit=limit,
    )
    return None if row is None else row[0]


def unused(tx: Tx, *, after: int, last: int, before: float) -> list[int]:
    """List contents, of those behind `after` up to `last`, made before a time (epoch seconds) that nothing refers to any more."""
    rows = tx.all(
        "SELECT c.id FROM contents c WHERE c.organization = :organization AND c.id > :after AND c.id <= :last AND c.created_at < :before"
        " AND NOT EXISTS (SELECT 1 FROM items i WHERE i.organization = :organization AND i.content = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM queue_messages q WHERE q.organization = :organization AND q.content = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM hook_calls h WHERE h.organization = :organization AND h.content = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM flow_messages f WHERE f.organization = :organization AND f.content = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM flow_messages f WHERE f.organization = :organization AND f.replaced_by = c.id)",
        after=after,
        last=last,
        before=before,
    )
    return [content for (content,) in rows]


def delete(tx: Tx, content: int) -> None:
    """Delete a content and its bytes."""
    tx.run("DELETE FROM blobs WHERE organization = :organization AND id = :id", id=content)
    tx.run("DELETE FROM contents WHERE organization = :organization AND id = :id", id=content)


def has_file(tx: Tx, file: str) -> bool:
    """Tell whether a content refers to a blob file."""
    return tx.one("SELECT 1 FROM contents WHERE organization = :organization AND file = :file", file=file) is not None
