"""Letters of the message flow, each by its content and a number of its own."""

from typing import Any

from postroom.storage.engine import Tx


def insert(tx: Tx, content: int, number: int, direction: str) -> None:
    """Put a letter that passes now; it keeps its content alive."""
    tx.run(
        "INSERT INTO flow_messages (organization, content, number, direction, passed_at)"
        " VALUES (:organization, :content, :number, :direction, :now)",
        content=content,
        number=number,
        direction=direction,
        now=int(tx.now),
    )


def find(tx: Tx, content: int, number: int) -> tuple[Any, ...] | None:
    """Find (direction, passed_at, replaced_by)."""
    return tx.one(
        "SELECT direction, passed_at, replaced_by FROM flow_messages"
        " WHERE organization = :organization AND content = :content AND number = :number",
        content=content,
        number=number,
    )


def replace(tx: Tx, content: int, number: int, other: int) -> None:
    """Let another content be read."""
    tx.run(
        "UPDATE flow_messages SET replaced_by = :other WHERE organization = :organization AND content = :content AND number = :number",
        content=content,
        number=number,
        other=other,
    )


def last_of_page(tx: Tx, *, after: int, limit: int) -> int | None:
    """Find the content at which the next `limit` rows end; None at the end."""
    row = tx.one(
        "SELECT max(p.content) FROM (SELECT content FROM flow_messages WHERE organization = :organization AND content > :after"
        " ORDER BY content LIMIT :limit) p",
        after=after,
        limit=limit,
    )
    return None if row is None else row[0]


def delete(tx: Tx, *, after: int, last: int, before: float) -> int:
    """Remove those with contents behind `after` up to `last` that passed before a time (epoch seconds); counts rows."""
    return tx.run(
        "DELETE FROM flow_messages WHERE organization = :organization AND content > :after AND content <= :last AND passed_at < :before",
        after=after,
        last=last,
        before=before,
    )
