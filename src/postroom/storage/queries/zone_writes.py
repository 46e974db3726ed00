"""Domains whose records are still to be written into a hosted zone, as rows."""

from dataclasses import dataclass

from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class ZoneWrite:
    """A domain and its hosted zone; `since` is when it was asked for, epoch seconds."""

    domain: str
    zone: str
    attempts: int
    since: float


def insert(tx: Tx, domain: str, zone: str) -> None:
    """Ask for a domain's records in a zone, now."""
    tx.run(
        "INSERT INTO zone_writes (organization, domain, zone, attempts, due_at, since) "
        "VALUES (:organization, :domain, :zone, 0, :now, :now) ON CONFLICT (organization, domain) DO NOTHING",
        domain=domain,
        zone=zone,
        now=tx.now,
    )


def due(tx: Tx, *, limit: int) -> list[ZoneWrite]:
    """List what is due, the longest waiting first."""
    rows = tx.all(
        "SELECT domain, zone, attempts, since FROM zone_writes WHERE organization = :organization AND due_at <= :now "
        "ORDER BY due_at, domain LIMIT :limit",
        now=tx.now,
        limit=limit,
    )
    return [ZoneWrite(*row) for row in rows]


def postpone(tx: Tx, domain: str, *, seconds: float) -> None:
    """Count an attempt and wait before the next."""
    tx.run(
        "UPDATE zone_writes SET attempts = attempts + 1, due_at = :due_at WHERE organization = :organization AND domain = :domain",
        domain=domain,
        due_at=tx.now + seconds,
    )


def delete(tx: Tx, domain: str) -> None:
    """Ask no more."""
    tx.run("DELETE FROM zone_writes WHERE organization = :organization AND domain = :domain", domain=domain)
