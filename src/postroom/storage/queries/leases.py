"""Leases: which process does a piece of background work, until when."""

import os

from postroom.storage.engine import Tx


def holder() -> str:
    """Name this process."""
    return f"{os.uname().nodename}:{os.getpid()}"


def take(tx: Tx, name: str, holder: str, seconds: float) -> bool:
    """Take or renew a lease; False while another holder's has not expired."""
    return bool(
        tx.all(
            "INSERT INTO leases (organization, name, holder, expires_at)"
            " VALUES (:organization, :name, :holder, :expires_at)"
            " ON CONFLICT (organization, name) DO UPDATE SET holder = :holder, expires_at = :expires_at"
            " WHERE leases.holder = :holder OR leases.expires_at <= :now RETURNING name",
            name=name,
            holder=holder,
            expires_at=tx.now + seconds,
            now=tx.now,
        )
    )


def release(tx: Tx, name: str, holder: str) -> None:
    """Give a lease back."""
    tx.run(
        "DELETE FROM leases WHERE organization = :organization AND name = :name AND holder = :holder",
        name=name,
        holder=holder,
    )
