"""What an organization knows of the directory of others that it has its users and groups from, as rows."""

from collections.abc import Iterable
from typing import NamedTuple

from postroom.storage.engine import Tx


class DirectoryRow(NamedTuple):
    """The directory, and how synchronizing went: `outcome` is empty when it went well."""

    directory: str
    tried_at: float | None
    synced_at: float | None
    outcome: str


class EntryRow(NamedTuple):
    """A user or group from there."""

    entity: str
    dn: str
    digest: str
    gone_at: float | None
    verifier: bytes | None
    verified_at: float | None


def insert_directory(tx: Tx, directory: str) -> None:
    """Say which directory it is, where that has not been said yet."""
    tx.run(
        "INSERT INTO outside_directory (organization, directory, outcome) VALUES (:organization, :directory, '') "
        "ON CONFLICT (organization) DO NOTHING",
        directory=directory,
    )


def find_directory(tx: Tx) -> DirectoryRow | None:
    """Find the directory; None for an organization with its own users."""
    row = tx.one("SELECT directory, tried_at, synced_at, outcome FROM outside_directory WHERE organization = :organization")
    return DirectoryRow(*row) if row else None


def note_sync(tx: Tx, outcome: str) -> None:
    """Note how a synchronization went."""
    tx.run(
        "UPDATE outside_directory SET tried_at = :now, outcome = :outcome, "
        "synced_at = CASE WHEN CAST(:outcome AS TEXT) = '' THEN CAST(:now AS DOUBLE PRECISION) ELSE synced_at END "
        "WHERE organization = :organization",
        now=tx.now,
        outcome=outcome,
    )


def put(tx: Tx, entity: str, *, dn: str, digest: str) -> None:
    """Put an entry that is there, keeping what is remembered of its password."""
    tx.run(
        "INSERT INTO outside_entries (organization, entity, dn, digest) VALUES (:organization, :entity, :dn, :digest) "
        "ON CONFLICT (organization, entity) DO UPDATE SET dn = excluded.dn, digest = excluded.digest, gone_at = NULL",
        entity=entity,
        dn=dn,
        digest=digest,
    )


def set_gone(tx: Tx, entity: str) -> None:
    """Note that an entry is no longer there, and forget its password."""
    tx.run(
        "UPDATE outside_entries SET gone_at = :now, verifier = NULL, verified_at = NULL "
        "WHERE organization = :organization AND entity = :entity",
        entity=entity,
        now=tx.now,
    )


def set_verifier(tx: Tx, entity: str, verifier: bytes | None) -> None:
    """Remember the hash of a password that was right just now, or forget it."""
    tx.run(
        "UPDATE outside_entries SET verifier = :verifier, verified_at = :now WHERE organization = :organization AND entity = :entity "
        "AND gone_at IS NULL",
        entity=entity,
        verifier=verifier,
        now=tx.now,
    )


def forget_verifiers(tx: Tx, *, before: float) -> None:
    """Forget all hashes of passwords that were right then for the last time."""
    tx.run(
        "UPDATE outside_entries SET verifier = NULL WHERE organization = :organization AND verifier IS NOT NULL AND verified_at <= :before",
        before=before,
    )


def find(tx: Tx, entity: str) -> EntryRow | None:
    """Find the entry of a user or group."""
    row = tx.one(
        "SELECT entity, dn, digest, gone_at, verifier, verified_at FROM outside_entries "
        "WHERE organization = :organization AND entity = :entity",
        entity=entity,
    )
    return EntryRow(*row) if row else None


def known(tx: Tx) -> Iterable[tuple[str, str, float | None]]:
    """List all entries: (entity, digest, gone_at)."""
    return [
        (row[0], row[1], row[2])
        for row in tx.all("SELECT entity, digest, gone_at FROM outside_entries WHERE organization = :organization ORDER BY entity")
    ]


def delete(tx: Tx, entity: str) -> None:
    """Forget an entry."""
    tx.run("DELETE FROM outside_entries WHERE organization = :organization AND entity = :entity", entity=entity)
