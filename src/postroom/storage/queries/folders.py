"""Folders of a mailbox."""

from typing import Any, NamedTuple

from postroom.model.folders import RECOVERABLE
from postroom.storage.engine import Tx
from postroom.storage.queries import counters

COLUMNS = "id, parent, name, role, holds, uidvalidity, uidnext, modseq, total, unseen, size, subscribed, recent_from"
Row = tuple[Any, ...]


class State(NamedTuple):
    """How far a folder has come; `flagged_modseq` is that of the last change of flags, up to `forgotten_modseq` no tombstones are kept."""

    uidnext: int
    modseq: int
    total: int
    recent_from: int
    flagged_modseq: int
    forgotten_modseq: int


def insert(tx: Tx, mailbox: int, parent: int | None, name: str, *, modseq: int, role: str | None = None, holds: str = "message") -> int:
    """Insert a folder; gives its id. Its UIDVALIDITY is greater than any before in the organization."""
    folder = counters.next(tx, "folder")
    tx.run(
        "INSERT INTO folders (organization, id, mailbox, parent, name, role, holds, uidvalidity, modseq)"
        " VALUES (:organization, :id, :mailbox, :parent, :name, :role, :holds, :uidvalidity, :modseq)",
        id=folder,
        mailbox=mailbox,
        parent=parent,
        name=name,
        role=role,
        holds=holds,
        uidvalidity=counters.next_moment(tx, "uidvalidity"),
        modseq=modseq,
    )
    return folder


def all_of(tx: Tx, mailbox: int) -> list[Row]:
    """List all folders of a mailbox, `COLUMNS` each."""
    return tx.all(
        f"SELECT {COLUMNS} FROM folders WHERE organization = :organization AND mailbox = :mailbox ORDER BY id",
        mailbox=mailbox,
    )


def state(tx: Tx, folder: int) -> State | None:
    """Find how far a folder has come."""
    row = tx.one(
        "SELECT uidnext, modseq, total, recent_from, flagged_modseq, forgotten_modseq FROM folders"
        " WHERE organization = :organization AND id = :id",
        id=folder,
    )
    return None if row is None else State(*row)


def find_child(tx: Tx, mailbox: int, parent: int | None, name: str) -> Row | None:
    """Find a folder by its parent and name."""
    return tx.one(
        f"SELECT {COLUMNS} FROM folders WHERE organization = :organization AND mailbox = :mailbox"
        " AND COALESCE(parent, 0) = :parent AND name = :name",
        mailbox=mailbox,
        parent=parent or 0,
        name=name,
    )


def find_by_role(tx: Tx, mailbox: int, role: str) -> Row | None:
    """Find the folder of a special use."""
    return tx.one(
        f"SELECT {COLUMNS} FROM folders WHERE organization = :organization AND mailbox = :mailbox AND role = :role",
        mailbox=mailbox,
        role=role,
    )


def is_counted(tx: Tx, folder: int) -> bool:
    """Tell whether what lies in a folder counts as used: all but recoverable items."""
    row = tx.one("SELECT holds FROM folders WHERE organization = :organization AND id = :id", id=folder)
    return row is None or row[0] != RECOVERABLE.holds


def count(tx: Tx, mailbox: int) -> int:
    """Count the folders of a mailbox."""
    row = tx.one("SELECT count(*) FROM folders WHERE organization = :organization AND mailbox = :mailbox", mailbox=mailbox)
    assert row is not None
    number: int = row[0]
    return number


def place(tx: Tx, folder: int, *, parent: int | None, name: str, modseq: int) -> None:
    """Move a folder to a parent and a name."""
    tx.run(
        "UPDATE folders SET parent = :parent, name = :name, modseq = :modseq WHERE organization = :organization AND id = :id",
        id=folder,
        parent=parent,
        name=name,
        modseq=modseq,
    )


def delete(tx: Tx, mailbox: int, folder: int, *, modseq: int) -> None:
    """Delete a folder and what is in it, leaving a tombstone."""
    for table in ("items", "tombstones"):
        tx.run(f"DELETE FROM {table} WHERE organization = :organization AND folder = :folder", folder=folder)
    tx.run("DELETE FROM folders WHERE organization = :organization AND id = :id", id=folder)
    tx.run(
        "INSERT INTO folder_tombstones (organization, mailbox, modseq, folder) VALUES (:organization, :mailbox, :modseq, :folder)",
        mailbox=mailbox,
        modseq=modseq,
        folder=folder,
    )


def subscribe(tx: Tx, folder: int, on: bool) -> None:
    """Set whether a folder is subscribed."""
    tx.run("UPDATE folders SET subscribed = :on WHERE organization = :organization AND id = :id", id=folder, on=int(on))


def subscribe_absent(tx: Tx, mailbox: int, path: str, on: bool) -> None:
    """Subscribe to a name that has no folder, or no longer."""
    tx.run(
        "DELETE FROM absent_subscriptions WHERE organization = :organization AND mailbox = :mailbox AND path = :path",
        mailbox=mailbox,
        path=path,
    )
    if on:
        tx.run(
            "INSERT INTO absent_subscriptions (organization, mailbox, path) VALUES (:organization, :mailbox, :path)",
            mailbox=mailbox,
            path=path,
        )


def absent_subscriptions(tx: Tx, mailbox: int) -> list[str]:
    """List the subscribed names that have no folder."""
    rows = tx.all(
        "SELECT path FROM absent_subscriptions WHERE organization = :organization AND mailbox = :mailbox",
        mailbox=mailbox,
    )
    return [path for (path,) in rows]


def take_uids(tx: Tx, folder: int, n: int, *, unseen: int, size: int, modseq: int) -> tuple[int, int] | None:
    """Allot `n` UIDs and count the items that get them; gives (first UID, UIDVALIDITY), None without the folder."""
    row = tx.one(
        "UPDATE folders SET uidnext = uidnext + :n, total = total + :n, unseen = unseen + :unseen,"
        " size = size + :size, modseq = :modseq WHERE organization = :organization AND id = :id"
        " RETURNING uidnext, uidvalidity",
        id=folder,
        n=n,
        unseen=unseen,
        size=size,
        modseq=modseq,
    )
    return None if row is None else (row[0] - n, row[1])


def uncount(tx: Tx, folder: int, *, total: int, unseen: int, size: int, modseq: int) -> None:
    """Take items that are gone from the counts of a folder."""
    tx.run(
        "UPDATE folders SET total = total - :total, unseen = unseen - :unseen, size = size - :size, modseq = :modseq"
        " WHERE organization = :organization AND id = :id",
        id=folder,
        total=total,
        unseen=unseen,
        size=size,
        modseq=modseq,
    )


def note_flags(tx: Tx, folder: int, *, unseen: int, modseq: int) -> None:
    """Note a change of flags, by which `unseen` more items than before are not seen."""
    tx.run(
        "UPDATE folders SET unseen = unseen + :unseen, modseq = :modseq, flagged_modseq = :modseq"
        " WHERE organization = :organization AND id = :id",
        id=folder,
        unseen=unseen,
        modseq=modseq,
    )


def claim_recent(tx: Tx, folder: int) -> None:
    """Note that all items so far have been shown as recent."""
    tx.run("UPDATE folders SET recent_from = uidnext WHERE organization = :organization AND id = :id", id=folder)
