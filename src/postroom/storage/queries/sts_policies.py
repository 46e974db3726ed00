"""MTA-STS policies of other domains, as rows of the registry."""

from dataclasses import dataclass

from postroom.formats.sts_policy import StsPolicy
from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class Cached:
    """A policy that has not expired, its id, and when mail was last sent by it; epoch seconds."""

    domain: str
    id: str
    policy: StsPolicy
    used_at: float


def find(tx: Tx, domain: str) -> Cached | None:
    """Find a domain's policy, unless it has expired."""
    row = tx.one(
        "SELECT domain, id, mode, patterns, max_age, used_at FROM sts_policies WHERE domain = :domain AND expires_at > :now",
        domain=domain,
        now=tx.now,
    )
    return None if row is None else Cached(row[0], row[1], StsPolicy(row[2], tuple(row[3].split()), row[4]), row[5])


def save(tx: Tx, domain: str, id: str, policy: StsPolicy, *, refresh_at: float) -> None:
    """Keep a policy that has been fetched now, in place of the one before."""
    tx.run(
        "INSERT INTO sts_policies (domain, id, mode, patterns, max_age, expires_at, refresh_at, used_at)"
        " VALUES (:domain, :id, :mode, :patterns, :max_age, :expires_at, :refresh_at, :now) ON CONFLICT (domain) DO UPDATE SET"
        " id = excluded.id, mode = excluded.mode, patterns = excluded.patterns, max_age = excluded.max_age,"
        " expires_at = excluded.expires_at, refresh_at = excluded.refresh_at",
        domain=domain,
        id=id,
        mode=policy.mode,
        patterns=" ".join(policy.patterns),
        max_age=policy.max_age,
        expires_at=tx.now + policy.max_age,
        refresh_at=refresh_at,
        now=tx.now,
    )


def touch(tx: Tx, domain: str) -> None:
    """Note that mail is sent by a policy now."""
    tx.run("UPDATE sts_policies SET used_at = :now WHERE domain = :domain", domain=domain, now=tx.now)


def claim(tx: Tx, *, used_after: float, again_at: float, limit: int) -> list[str]:
    """List domains whose policies are due to be fetched again, and put their next time off so that no other process does the same."""
    rows = tx.all(
        "UPDATE sts_policies SET refresh_at = :again_at WHERE domain IN (SELECT p.domain FROM sts_policies p WHERE p.refresh_at <= :now"
        " AND p.expires_at > :now AND p.used_at > :used_after ORDER BY p.refresh_at LIMIT :limit) RETURNING domain",
        now=tx.now,
        used_after=used_after,
        again_at=again_at,
        limit=limit,
    )
    return [row[0] for row in rows]


def purge(tx: Tx, *, limit: int) -> int:
    """Forget some that have expired; counts rows."""
    return tx.run(
        "DELETE FROM sts_policies WHERE domain IN (SELECT p.domain FROM sts_policies p WHERE p.expires_at <= :now"
        " ORDER BY p.expires_at LIMIT :limit)",
        now=tx.now,
        limit=limit,
    )


def shrink(tx: Tx, *, most: int) -> int:
    """Forget those that were not used for longest, where there are more than so many; counts rows."""
    row = tx.one("SELECT count(*) FROM sts_policies")
    over = (row[0] if row else 0) - most
    if over <= 0:
        return 0
    return tx.run(
        "DELETE FROM sts_policies WHERE domain IN (SELECT p.domain FROM sts_policies p ORDER BY p.used_at LIMIT :over)", over=over
    )
