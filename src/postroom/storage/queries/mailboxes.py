"""Mailboxes: rows of owners, quotas and the head of each change log."""

from typing import NamedTuple

from postroom.model.folders import SYSTEM_FOLDERS
from postroom.storage.engine import Tx
from postroom.storage.notifier import WHOLE
from postroom.storage.queries import counters, folders

MB = 1024 * 1024
_FALLS = f"CASE WHEN (used_bytes + :bytes) * 100 < quota_mb * {85 * MB} THEN 0 ELSE warned END"
"""Whoever has been told that a mailbox is almost full may be told again once it is clearly not: below 85 %."""


class Charged(NamedTuple):
    """A mailbox after it has been charged: the head of its change log, its size and quota, and whether its owner has been warned."""

    modseq: int
    used_bytes: int
    quota_mb: int
    warned: bool


def create(tx: Tx, owner: str, quota_mb: int) -> int:
    """Insert a mailbox with the folders every mailbox has; gives its id."""
    mailbox = counters.next(tx, "mailbox")
    tx.run(
        "INSERT INTO mailboxes (organization, id, owner, quota_mb, created_at) VALUES (:organization, :id, :owner, :quota_mb, :now)",
        id=mailbox,
        owner=owner,
        quota_mb=quota_mb,
        now=tx.now,
    )
    for folder in SYSTEM_FOLDERS:
        folders.insert(tx, mailbox, None, folder.name, modseq=1, role=folder.role, holds=folder.holds)
    return mailbox


def park(tx: Tx, owner: str) -> None:
    """Mark the owner's mailbox as waiting to be given back or purged; those who have it open are told."""
    found = tx.one(
        "UPDATE mailboxes SET parked_at = :now WHERE organization = :organization AND owner = :owner RETURNING id",
        owner=owner,
        now=tx.now,
    )
    if found is not None:
        tx.changes.add(found[0], WHOLE)


def doubt(tx: Tx, owner: str) -> None:
    """Have everybody who has the owner's mailbox open, and the owner, asked again whether they may."""
    found = find_by_owner(tx, owner)
    if found is not None:
        tx.changes.add(found[0], WHOLE)


def revive(tx: Tx, owner: str) -> bool:
    """Give a parked mailbox back; False when the owner has none."""
    return bool(
        tx.run(
            "UPDATE mailboxes SET parked_at = NULL WHERE organization = :organization AND owner = :owner",
            owner=owner,
        )
    )


def find_by_owner(tx: Tx, owner: str) -> tuple[int, int, int] | None:
    """Find (id, quota in MB, used bytes) of the owner's mailbox, unless it is parked."""
    row = tx.one(
        "SELECT id, quota_mb, used_bytes FROM mailboxes WHERE organization = :organization AND owner = :owner AND parked_at IS NULL",
        owner=owner,
    )
    return None if row is None else (row[0], row[1], row[2])


def set_quota(tx: Tx, owner: str, quota_mb: int) -> None:
    """Set the quota of the owner's mailbox, in MB; a warning is forgotten when there is room again."""
    tx.run(
        "UPDATE mailboxes SET quota_mb = :quota_mb,"
        f" warned = CASE WHEN used_bytes * 100 < CAST(:quota_mb AS BIGINT) * {85 * MB} THEN 0 ELSE warned END"
        " WHERE organization = :organization AND owner = :owner",
        owner=owner,
        quota_mb=quota_mb,
    )


def state(tx: Tx, mailbox: int) -> Charged:
    """Give the mailbox as it is."""
    row = tx.one(
        "SELECT modseq, used_bytes, quota_mb, warned FROM mailboxes WHERE organization = :organization AND id = :id",
        id=mailbox,
    )
    assert row is not None
    return Charged(row[0], row[1], row[2], bool(row[3]))


def note_warning(tx: Tx, mailbox: int) -> None:
    """Note that the owner has been told that the mailbox is almost full."""
    tx.run("UPDATE mailboxes SET warned = 1 WHERE organization = :organization AND id = :id", id=mailbox)


def modseq(tx: Tx, mailbox: int) -> int:
    """Give the head of the change log."""
    row = tx.one("SELECT modseq FROM mailboxes WHERE organization = :organization AND id = :id", id=mailbox)
    assert row is not None
    head: int = row[0]
    return head


def advance(tx: Tx, mailbox: int, *, bytes: int = 0) -> int:
    """Move the head of the change log by one and charge (or credit) bytes; gives the new head."""
    row = tx.one(
        f"UPDATE mailboxes SET modseq = modseq + 1, used_bytes = used_bytes + :bytes, warned = {_FALLS}"
        " WHERE organization = :organization AND id = :id RETURNING modseq",
        id=mailbox,
        bytes=bytes,
    )
    assert row is not None
    head: int = row[0]
    return head


def advance_within_quota(tx: Tx, mailbox: int, *, bytes: int) -> Charged | None:
    """Do as `advance`, unless the mailbox would hold more than its quota: then None."""
    row = tx.one(
        "UPDATE mailboxes SET modseq = modseq + 1, used_bytes = used_bytes + :bytes WHERE organization = :organization"
        f" AND id = :id AND used_bytes + :bytes <= quota_mb * {MB} RETURNING modseq, used_bytes, quota_mb, warned",
        id=mailbox,
        bytes=bytes,
    )
    return None if row is None else Charged(row[0], row[1], row[2], bool(row[3]))


def page(tx: Tx, *, after: int, limit: int) -> list[tuple[int, str]]:
    """List (id, owner) of mailboxes in use behind an id."""
    rows = tx.all(
        "SELECT id, owner FROM mailboxes WHERE organization = :organization AND id > :after AND parked_at IS NULL ORDER BY id LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


def ids(tx: Tx) -> list[int]:
    """List the ids of all mailboxes, parked ones too."""
    return [row[0] for row in tx.all("SELECT id FROM mailboxes WHERE organization = :organization ORDER BY id")]


def page_parked(tx: Tx, *, before: float, limit: int) -> list[tuple[int, str]]:
    """List (id, owner) of mailboxes parked before a time, epoch seconds."""
    rows = tx.all(
        "SELECT id, owner FROM mailboxes WHERE organization = :organization AND parked_at < :before ORDER BY id LIMIT :limit",
        before=before,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


def disown(tx: Tx, mailbox: int) -> None:
    """Take a parked mailbox from its owner for good, who can no longer be given half of it back."""
    tx.run(
        "UPDATE mailboxes SET owner = :owner WHERE organization = :organization AND id = :id AND owner <> :owner",
        id=mailbox,
        owner=f"purged/{mailbox}",
    )


def empty(tx: Tx, mailbox: int, limit: int) -> bool:
    """Delete some of the items or tombstones of a mailbox; False when there is none left."""
    for table, key in (("items", "uid"), ("tombstones", "modseq, uid")):
        row = tx.one(
            "SELECT f.id FROM folders f WHERE f.organization = :organization AND f.mailbox = :mailbox AND EXISTS"
            f" (SELECT 1 FROM {table} x WHERE x.organization = :organization AND x.folder = f.id) LIMIT 1",
            mailbox=mailbox,
        )
        if row is not None:
            tx.run(
                f"DELETE FROM {table} WHERE organization = :organization AND folder = :folder AND ({key}) IN"
                f" (SELECT {key} FROM {table} WHERE organization = :organization AND folder = :folder ORDER BY {key} LIMIT :limit)",
                folder=row[0],
                limit=limit,
            )
            return True
    return False


def delete(tx: Tx, mailbox: int) -> None:
    """Delete an emptied mailbox with its folders; its contents are swept later."""
    for table in ("folders", "folder_tombstones", "absent_subscriptions", "keywords", "change_marks", "sieve_scripts", "sieve_replies"):
        tx.run(f"DELETE FROM {table} WHERE organization = :organization AND mailbox = :mailbox", mailbox=mailbox)
    tx.run("DELETE FROM mailboxes WHERE organization = :organization AND id = :mailbox", mailbox=mailbox)
