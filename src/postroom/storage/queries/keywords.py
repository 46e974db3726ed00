"""Keyword bits of a mailbox."""

from postroom.storage.engine import Tx


def all_of(tx: Tx, mailbox: int) -> list[tuple[int, str]]:
    """List (bit number, name)."""
    rows = tx.all(
        "SELECT bit, name FROM keywords WHERE organization = :organization AND mailbox = :mailbox ORDER BY bit",
        mailbox=mailbox,
    )
    return [(row[0], row[1]) for row in rows]


def insert(tx: Tx, mailbox: int, bit: int, name: str) -> None:
    """Give a keyword its bit."""
    tx.run(
        "INSERT INTO keywords (organization, mailbox, bit, name) VALUES (:organization, :mailbox, :bit, :name)",
        mailbox=mailbox,
        bit=bit,
        name=name,
    )
