"""Marks in the change logs of mailboxes: which modseq each had come to at a time; and the tombstones they let go."""

from postroom.storage.engine import Tx


def insert_all(tx: Tx) -> None:
    """Note how far the change log of every mailbox has come, where that is farther than at its last mark."""
    tx.run(
        "INSERT INTO change_marks (organization, mailbox, noted_at, modseq)"
        " SELECT m.organization, m.id, :now, m.modseq FROM mailboxes m WHERE m.organization = :organization AND NOT EXISTS"
        " (SELECT 1 FROM change_marks c WHERE c.organization = :organization AND c.mailbox = m.id"
        " AND (c.modseq = m.modseq OR c.noted_at >= :now))",
        now=tx.now,
    )


def find(tx: Tx, mailbox: int, *, before: float) -> int:
    """Find a modseq that the mailbox had reached at a time (epoch seconds); 0 when it is not known."""
    row = tx.one(
        "SELECT max(modseq) FROM change_marks WHERE organization = :organization AND mailbox = :mailbox AND noted_at <= :before",
        mailbox=mailbox,
        before=before,
    )
    return 0 if row is None or row[0] is None else int(row[0])


def delete(tx: Tx, mailbox: int, *, before: float) -> None:
    """Delete the marks of a mailbox made before a time (epoch seconds), but for the last of them, which still says something."""
    tx.run(
        "DELETE FROM change_marks WHERE organization = :organization AND mailbox = :mailbox AND noted_at < (SELECT max(c.noted_at)"
        " FROM change_marks c WHERE c.organization = :organization AND c.mailbox = :mailbox AND c.noted_at <= :before)",
        mailbox=mailbox,
        before=before,
    )


def delete_tombstones(tx: Tx, mailbox: int, *, modseq: int, limit: int) -> int:
    """Delete some tombstones up to a modseq in one folder of a mailbox, noting that they are forgotten; counts them."""
    row = tx.one(
        "SELECT f.id FROM folders f WHERE f.organization = :organization AND f.mailbox = :mailbox AND EXISTS (SELECT 1"
        " FROM tombstones t WHERE t.organization = :organization AND t.folder = f.id AND t.modseq <= :modseq) LIMIT 1",
        mailbox=mailbox,
        modseq=modseq,
    )
    if row is None:
        return 0
    tx.run(
        "UPDATE folders SET forgotten_modseq = :modseq WHERE organization = :organization AND id = :id AND forgotten_modseq < :modseq",
        id=row[0],
        modseq=modseq,
    )
    page = tx.all(
        "SELECT modseq, uid FROM tombstones WHERE organization = :organization AND folder = :folder AND modseq <= :modseq"
        " ORDER BY modseq, uid LIMIT :limit",
        folder=row[0],
        modseq=modseq,
        limit=limit,
    )
    return tx.run(
        "DELETE FROM tombstones WHERE organization = :organization AND folder = :folder AND (modseq, uid) <= (:modseq, :uid)",
        folder=row[0],
        modseq=page[-1][0],
        uid=page[-1][1],
    )
