"""Where the records of an organization's letters go."""

from postroom.storage.engine import Tx


def find(tx: Tx) -> tuple[str, str, str] | None:
    """Find (journal address, report address, sender of the records)."""
    row = tx.one("SELECT journal, report, sender FROM journaling WHERE organization = :organization")
    return None if row is None else (row[0], row[1], row[2])


def put(tx: Tx, *, journal: str, report: str, sender: str) -> None:
    """Say where they go."""
    tx.run(
        "INSERT INTO journaling (organization, journal, report, sender) VALUES (:organization, :journal, :report, :sender)"
        " ON CONFLICT (organization) DO UPDATE SET journal = excluded.journal, report = excluded.report, sender = excluded.sender",
        journal=journal,
        report=report,
        sender=sender,
    )


def delete(tx: Tx) -> int:
    """Let them go nowhere; counts rows."""
    return tx.run("DELETE FROM journaling WHERE organization = :organization")
