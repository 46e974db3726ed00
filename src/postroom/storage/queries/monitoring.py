"""What is watched of an organization's mail, and whether DMARC is enforced."""

from postroom.storage.engine import Tx


def find(tx: Tx) -> tuple[str, str] | None:
    """Find (log group ARN, role ARN or '')."""
    row = tx.one("SELECT log_group, role FROM email_monitoring WHERE organization = :organization")
    return None if row is None else (row[0], row[1])


def put(tx: Tx, *, log_group: str, role: str) -> None:
    """Say where mail events go."""
    tx.run(
        "INSERT INTO email_monitoring (organization, log_group, role) VALUES (:organization, :log_group, :role)"
        " ON CONFLICT (organization) DO UPDATE SET log_group = excluded.log_group, role = excluded.role",
        log_group=log_group,
        role=role,
    )


def delete(tx: Tx) -> None:
    """Let them go nowhere."""
    tx.run("DELETE FROM email_monitoring WHERE organization = :organization")


def find_dmarc(tx: Tx) -> bool | None:
    """Find whether DMARC is enforced; None when nobody has said."""
    row = tx.one("SELECT enforced FROM inbound_dmarc WHERE organization = :organization")
    return None if row is None else bool(row[0])


def put_dmarc(tx: Tx, *, enforced: bool) -> None:
    """Say whether DMARC is enforced."""
    tx.run(
        "INSERT INTO inbound_dmarc (organization, enforced) VALUES (:organization, :enforced)"
        " ON CONFLICT (organization) DO UPDATE SET enforced = excluded.enforced",
        enforced=int(enforced),
    )
