"""Items: narrow rows in the order of their folder's UIDs."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from postroom.model.flags import Flag
from postroom.storage.engine import Tx
from postroom.storage.queries import counters

Row = tuple[Any, ...]
Ranges = Sequence[tuple[int, int]]

_OF_ITEM = ("uid", "flags", "modseq", "content", "received_at", "saved_at", "created_modseq", "item", "kind")
_OF_CONTENT = (
    "envelope",
    "structure",
    "parts",
    "sent_at",
    "message_id",
    "subject",
    "sender",
    "to",
    "cc",
    "bcc",
    "in_reply_to",
    "refs",
    "attachments",
)
_WHERE = "organization = :organization AND folder = :folder AND uid BETWEEN :low AND :high"
_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_CHANGES = {
    "add": ("flags | :mask", "(flags & :mask) <> :mask"),
    "remove": ("flags & ~:mask", "(flags & :mask) <> 0"),
    "replace": (":mask", "flags <> :mask"),
}


def insert(tx: Tx, folder: int, uid: int, *, flags: int, modseq: int, content: int, size: int, received_at: int, kind: str) -> int:
    """Insert one item; gives its id, which it keeps wherever it is moved."""
    item = counters.next(tx, "item")
    tx.run(
        "INSERT INTO items (organization, folder, uid, flags, modseq, content, size, received_at, saved_at,"
        " created_modseq, item, kind) VALUES (:organization, :folder, :uid, :flags, :modseq, :content, :size,"
        " :received_at, :saved_at, :modseq, :item, :kind)",
        folder=folder,
        uid=uid,
        flags=flags,
        modseq=modseq,
        content=content,
        size=size,
        received_at=received_at,
        saved_at=int(tx.now),
        item=item,
        kind=kind,
    )
    return item


def insert_many(tx: Tx, rows: Iterable[dict[str, Any]]) -> None:
    """Insert items that have their UIDs and ids already."""
    tx.many(
        "INSERT INTO items (organization, folder, uid, flags, modseq, content, size, received_at, saved_at,"
        " created_modseq, item, kind) VALUES (:organization, :folder, :uid, :flags, :modseq, :content, :size,"
        " :received_at, :saved_at, :modseq, :item, :kind)",
        rows,
    )


def uids(tx: Tx, folder: int) -> list[int]:
    """List UIDs in order."""
    rows = tx.all("SELECT uid FROM items WHERE organization = :organization AND folder = :folder ORDER BY uid", folder=folder)
    return [row[0] for row in rows]


def expired(tx: Tx, folder: int, *, after: int, before: float, modseq: int, limit: int) -> list[int]:
    """List UIDs behind one, in order, of items saved at or before a time (epoch seconds) and changed since never or up to a modseq.

    UIDs are given in the order of time, so what lies behind an item that is younger is younger too, whatever a clock that was set wrong
    has noted of it. No index helps: who asks once a night walks narrow rows up to the first that is too young.
    """
    first = tx.one(
        "SELECT uid FROM items WHERE organization = :organization AND folder = :folder AND saved_at > :before AND saved_at <= :now"
        " ORDER BY uid LIMIT 1",
        folder=folder,
        before=int(before),
        now=int(tx.now),
    )
    rows = tx.all(
        "SELECT uid FROM items WHERE organization = :organization AND folder = :folder AND uid > :after AND uid < :young"
        " AND saved_at <= :before AND (modseq = created_modseq OR modseq <= :modseq) ORDER BY uid LIMIT :limit",
        folder=folder,
        after=after,
        young=first[0] if first else 1 << 62,
        before=int(before),
        modseq=modseq,
        limit=limit,
    )
    return [row[0] for row in rows]


def first_unseen(tx: Tx, folder: int) -> int | None:
    """Find the lowest UID without \\Seen."""
    row = tx.one(
        f"SELECT min(uid) FROM items WHERE organization = :organization AND folder = :folder AND flags & {_SEEN} = 0",
        folder=folder,
    )
    return None if row is None else row[0]


@lru_cache(maxsize=256)
def _select(fields: tuple[str, ...]) -> str:
    joined = any(field in _OF_CONTENT for field in fields)
    names = []
    for field in fields:
        if field in _OF_CONTENT:
            names.append('c."to"' if field == "to" else f"c.{field}")
        elif field in _OF_ITEM or field == "size":
            names.append(f"i.{field}")
        else:
            raise ValueError(field)
    join = " JOIN contents c ON c.organization = i.organization AND c.id = i.content" if joined else ""
    return (
        f"SELECT {', '.join(names)} FROM items i{join} WHERE i.organization = :organization"
        " AND i.folder = :folder AND i.uid BETWEEN :low AND :high ORDER BY i.uid"
    )


def rows(tx: Tx, folder: int, ranges: Ranges, fields: tuple[str, ...]) -> list[Row]:
    """List the fields of the items in the ranges, in order of their UIDs."""
    sql = _select(fields)
    if len(ranges) == 1:
        return tx.all(sql, folder=folder, low=ranges[0][0], high=ranges[0][1])
    found: list[Row] = []
    for low, high in ranges:
        found += tx.all(sql, folder=folder, low=low, high=high)
    return found


def flag_rows(tx: Tx, folder: int, low: int, high: int) -> list[tuple[int, int, int]]:
    """List (uid, flags, modseq)."""
    return tx.all(f"SELECT uid, flags, modseq FROM items WHERE {_WHERE} ORDER BY uid", folder=folder, low=low, high=high)


def set_flags(tx: Tx, folder: int, low: int, high: int, *, how: str, mask: int, modseq: int, unchanged_since: int | None) -> int:
    """Add, remove or replace flags; rows that would not change keep their modseq. Gives the number changed."""
    value, differs = _CHANGES[how]
    guard = "" if unchanged_since is None else " AND modseq <= :unchanged_since"
    return tx.run(
        f"UPDATE items SET flags = {value}, modseq = :modseq WHERE {_WHERE} AND {differs}{guard}",
        folder=folder,
        low=low,
        high=high,
        mask=mask,
        modseq=modseq,
        **({} if unchanged_since is None else {"unchanged_since": unchanged_since}),
    )


def changed_after(tx: Tx, folder: int, low: int, high: int, modseq: int) -> list[int]:
    """List the UIDs in a range that have changed after a modseq."""
    found = tx.all(
        f"SELECT uid FROM items WHERE {_WHERE} AND modseq > :modseq ORDER BY uid",
        folder=folder,
        low=low,
        high=high,
        modseq=modseq,
    )
    return [row[0] for row in found]


def count_unseen(tx: Tx, folder: int, low: int, high: int) -> int:
    """Count the items in a range without \\Seen."""
    row = tx.one(f"SELECT count(*) FROM items WHERE {_WHERE} AND flags & {_SEEN} = 0", folder=folder, low=low, high=high)
    assert row is not None
    number: int = row[0]
    return number


def since(tx: Tx, folder: int, modseq: int, low: int = 1) -> list[tuple[int, int, int]]:
    """List (uid, flags, modseq) of items changed after a modseq, from a UID on."""
    return tx.all(
        "SELECT uid, flags, modseq FROM items WHERE organization = :organization AND folder = :folder AND uid >= :low"
        " AND modseq > :modseq ORDER BY uid",
        folder=folder,
        modseq=modseq,
        low=low,
    )


def deleted(tx: Tx, folder: int, low: int, high: int) -> list[tuple[int, int, int, int]]:
    """List (uid, flags, size, item) of items with \\Deleted in a range."""
    return tx.all(
        f"SELECT uid, flags, size, item FROM items WHERE {_WHERE} AND flags & {_DELETED} <> 0 ORDER BY uid",
        folder=folder,
        low=low,
        high=high,
    )


def remove(tx: Tx, folder: int, gone: Sequence[tuple[int, int]], modseq: int) -> None:
    """Remove (uid, item) pairs, leaving tombstones."""
    tx.many(
        "DELETE FROM items WHERE organization = :organization AND folder = :folder AND uid = :uid",
        [{"folder": folder, "uid": uid} for uid, _ in gone],
    )
    tx.many(
        "INSERT INTO tombstones (organization, folder, modseq, uid, item) VALUES (:organization, :folder, :modseq, :uid, :item)",
        [{"folder": folder, "modseq": modseq, "uid": uid, "item": item} for uid, item in gone],
    )


def gone_since(tx: Tx, folder: int, modseq: int) -> list[int]:
    """List the UIDs removed after a modseq."""
    found = tx.all(
        "SELECT uid FROM tombstones WHERE organization = :organization AND folder = :folder AND modseq > :modseq ORDER BY uid",
        folder=folder,
        modseq=modseq,
    )
    return [row[0] for row in found]
