"""Where the records of an organization's letters go."""

from postroom.storage.engine import Tx


def find(tx: Tx) -> tuple[str, str, str, bool] | None:
    """Find (journal address, report address, sender of the records, whether the configuration says so)."""
    row = tx.one("SELECT journal, report, sender, configured FROM journaling WHERE organization = :organization")
    return None if row is None else (row[0], row[1], row[2], bool(row[3]))


def put(tx: Tx, *, journal: str, report: str, sender: str, configured: bool) -> None:
    """Say where they go."""
    tx.run(
        "INSERT INTO journaling (organization, journal, report, sender, configured)"
        " VALUES (:organization, :journal, :report, :sender, :configured) ON CONFLICT (organization) DO UPDATE"
        " SET journal = excluded.journal, report = excluded.report, sender = excluded.sender, configured = excluded.configured",
        journal=journal,
        report=report,
        sender=sender,
        configured=int(configured),
    )


def delete(tx: Tx) -> int:
    """Let them go nowhere; counts rows."""
    return tx.run("DELETE FROM journaling WHERE organization = :organization")
