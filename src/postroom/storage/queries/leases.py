"""Leases: which process does a piece of background work, until when."""

import os

from postroom.storage.engine import Tx


def holder() -> str:
    """Name this process."""
    return f"{os.uname().nodename}:{os.getpid()}"


SLACK_SECONDS = 2 * 86_400.0
"""How much further than anybody takes a lease for it may reach: clocks differ."""


def take(tx: Tx, name: str, holder: str, seconds: float) -> bool:
    """Take or renew a lease; False while another holder's has not expired.

    One that reaches further than it can have been taken for is of a time when the clock was wrong, and counts as expired.
    """
    return bool(
        tx.all(
            "INSERT INTO leases (organization, name, holder, expires_at)"
            " VALUES (:organization, :name, :holder, :expires_at)"
            " ON CONFLICT (organization, name) DO UPDATE SET holder = :holder, expires_at = :expires_at"
            " WHERE leases.holder = :holder OR leases.expires_at <= :now OR leases.expires_at > :furthest RETURNING name",
            name=name,
            holder=holder,
            expires_at=tx.now + seconds,
            now=tx.now,
            furthest=tx.now + seconds + SLACK_SECONDS,
        )
    )


def keep(tx: Tx, name: str, holder: str, seconds: float) -> bool:
    """Renew a lease that nobody else has had meanwhile, expired or not; False otherwise."""
    return bool(
        tx.run(
            "UPDATE leases SET expires_at = :expires_at WHERE organization = :organization AND name = :name AND holder = :holder",
            name=name,
            holder=holder,
            expires_at=tx.now + seconds,
        )
    )


def release(tx: Tx, name: str, holder: str) -> None:
    """Give a lease back."""
    tx.run(
        "DELETE FROM leases WHERE organization = :organization AND name = :name AND holder = :holder",
        name=name,
        holder=holder,
    )
