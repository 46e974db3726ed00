"""Mailboxes: rows of owners, quotas and the head of each change log."""

from postroom.model.folders import SYSTEM_FOLDERS
from postroom.storage.engine import Tx
from postroom.storage.notifier import WHOLE
from postroom.storage.queries import counters, folders

MB = 1024 * 1024


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
    """Set the quota of the owner's mailbox, in MB."""
    tx.run(
        "UPDATE mailboxes SET quota_mb = :quota_mb WHERE organization = :organization AND owner = :owner",
        owner=owner,
        quota_mb=quota_mb,
    )


def modseq(tx: Tx, mailbox: int) -> int:
    """Give the head of the change log."""
    row = tx.one("SELECT modseq FROM mailboxes WHERE organization = :organization AND id = :id", id=mailbox)
    assert row is not None
    head: int = row[0]
    return head


def advance(tx: Tx, mailbox: int, *, bytes: int = 0) -> int:
    """Move the head of the change log by one and charge (or credit) bytes; gives the new head."""
    row = tx.one(
        "UPDATE mailboxes SET modseq = modseq + 1, used_bytes = used_bytes + :bytes"
        " WHERE organization = :organization AND id = :id RETURNING modseq",
        id=mailbox,
        bytes=bytes,
    )
    assert row is not None
    head: int = row[0]
    return head


def advance_within_quota(tx: Tx, mailbox: int, *, bytes: int) -> int | None:
    """Do as `advance`, unless the mailbox would hold more than its quota: then None."""
    row = tx.one(
        "UPDATE mailboxes SET modseq = modseq + 1, used_bytes = used_bytes + :bytes WHERE organization = :organization"
        f" AND id = :id AND used_bytes + :bytes <= quota_mb * {MB} RETURNING modseq",
        id=mailbox,
        bytes=bytes,
    )
    return None if row is None else row[0]


def page_parked(tx: Tx, *, before: float, limit: int) -> list[tuple[int, str]]:
    """List (id, owner) of mailboxes parked before a time, epoch seconds."""
    rows = tx.all(
        "SELECT id, owner FROM mailboxes WHERE organization = :organization AND parked_at < :before ORDER BY id LIMIT :limit",
        before=before,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


def delete(tx: Tx, mailbox: int) -> None:
    """Delete a mailbox with its folders and all that lies in them; its contents are swept later."""
    for table in ("items", "tombstones"):
        tx.run(
            f"DELETE FROM {table} WHERE organization = :organization AND folder IN"
            " (SELECT id FROM folders WHERE organization = :organization AND mailbox = :mailbox)",
            mailbox=mailbox,
        )
    for table in ("folders", "folder_tombstones", "absent_subscriptions", "keywords"):
        tx.run(f"DELETE FROM {table} WHERE organization = :organization AND mailbox = :mailbox", mailbox=mailbox)
    tx.run("DELETE FROM mailboxes WHERE organization = :organization AND id = :mailbox", mailbox=mailbox)
