"""The identity provider of an organization and, in the registry, the applications of IAM Identity Center, as rows."""

from postroom.storage.engine import Tx


def find(tx: Tx) -> tuple[str, str, str, str, int | None] | None:
    """Find an organization's configuration: (mode, instance_arn, application_arn, tokens, token_days)."""
    row = tx.one("SELECT mode, instance_arn, application_arn, tokens, token_days FROM identity_provider WHERE organization = :organization")
    return (row[0], row[1], row[2], row[3], row[4]) if row else None


def insert(tx: Tx, *, mode: str, instance_arn: str, application_arn: str, tokens: str, token_days: int | None) -> None:
    """Put an organization's configuration, replacing the one there."""
    tx.run(
        "INSERT INTO identity_provider (organization, mode, instance_arn, application_arn, tokens, token_days) "
        "VALUES (:organization, :mode, :instance_arn, :application_arn, :tokens, :token_days) ON CONFLICT (organization) DO UPDATE SET "
        "mode = excluded.mode, instance_arn = excluded.instance_arn, application_arn = excluded.application_arn, "
        "tokens = excluded.tokens, token_days = excluded.token_days",
        mode=mode,
        instance_arn=instance_arn,
        application_arn=application_arn,
        tokens=tokens,
        token_days=token_days,
    )


def delete(tx: Tx) -> int:
    """Remove an organization's configuration; counts rows."""
    return tx.run("DELETE FROM identity_provider WHERE organization = :organization")


def find_application(tx: Tx, arn: str) -> tuple[str, str] | None:
    """Find (instance_arn, name) of an application. Registry."""
    row = tx.one("SELECT instance_arn, name FROM identity_applications WHERE arn = :arn", arn=arn)
    return (row[0], row[1]) if row else None


def count_applications(tx: Tx) -> int:
    """Count the applications. Registry."""
    row = tx.one("SELECT COUNT(*) FROM identity_applications")
    return int(row[0]) if row else 0


def insert_application(tx: Tx, arn: str, *, instance_arn: str, name: str) -> None:
    """Add an application. Registry."""
    tx.run(
        "INSERT INTO identity_applications (organization, arn, instance_arn, name, created_at) "
        "VALUES (:organization, :arn, :instance_arn, :name, :now)",
        arn=arn,
        instance_arn=instance_arn,
        name=name,
        now=tx.now,
    )


def delete_application(tx: Tx, arn: str) -> None:
    """Remove an application. Registry."""
    tx.run("DELETE FROM identity_applications WHERE arn = :arn", arn=arn)
