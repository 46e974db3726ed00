"""Scripts of mailboxes, and who has had an automatic reply."""

from typing import Any

from postroom.storage.engine import Tx


def find_active(tx: Tx, mailbox: int) -> tuple[str, str] | None:
    """Find (name, digest) of the active script."""
    row = tx.one(
        "SELECT name, digest FROM sieve_scripts WHERE organization = :organization AND mailbox = :mailbox AND active = 1", mailbox=mailbox
    )
    return None if row is None else (row[0], row[1])


def find(tx: Tx, mailbox: int, name: str) -> tuple[Any, ...] | None:
    """Find (script, active)."""
    return tx.one(
        "SELECT script, active FROM sieve_scripts WHERE organization = :organization AND mailbox = :mailbox AND name = :name",
        mailbox=mailbox,
        name=name,
    )


def all_of(tx: Tx, mailbox: int) -> list[tuple[Any, ...]]:
    """List (name, active, size), by their names."""
    return tx.all(
        "SELECT name, active, size FROM sieve_scripts WHERE organization = :organization AND mailbox = :mailbox ORDER BY name",
        mailbox=mailbox,
    )


def put(tx: Tx, mailbox: int, name: str, *, script: str, digest: str, size: int) -> None:
    """Put a script in the place of the one of the same name, which stays active if it was."""
    tx.run(
        "INSERT INTO sieve_scripts (organization, mailbox, name, active, digest, size, script)"
        " VALUES (:organization, :mailbox, :name, 0, :digest, :size, :script)"
        " ON CONFLICT (organization, mailbox, name) DO UPDATE SET digest = :digest, size = :size, script = :script",
        mailbox=mailbox,
        name=name,
        digest=digest,
        size=size,
        script=script,
    )


def activate(tx: Tx, mailbox: int, name: str) -> None:
    """Make a script the active one, with '' none."""
    tx.run(
        "UPDATE sieve_scripts SET active = 0 WHERE organization = :organization AND mailbox = :mailbox AND active = 1", mailbox=mailbox
    )
    tx.run(
        "UPDATE sieve_scripts SET active = 1 WHERE organization = :organization AND mailbox = :mailbox AND name = :name",
        mailbox=mailbox,
        name=name,
    )


def rename(tx: Tx, mailbox: int, name: str, new_name: str) -> None:
    """Give a script another name."""
    tx.run(
        "UPDATE sieve_scripts SET name = :new_name WHERE organization = :organization AND mailbox = :mailbox AND name = :name",
        mailbox=mailbox,
        name=name,
        new_name=new_name,
    )


def delete(tx: Tx, mailbox: int, name: str) -> None:
    """Delete a script."""
    tx.run(
        "DELETE FROM sieve_scripts WHERE organization = :organization AND mailbox = :mailbox AND name = :name", mailbox=mailbox, name=name
    )


def note_reply(tx: Tx, mailbox: int, reply: str, until: float) -> bool:
    """Note that a reply is sent now, and until when no second one is; False where one was sent that still counts."""
    row = tx.one(
        "INSERT INTO sieve_replies (organization, mailbox, reply, until) VALUES (:organization, :mailbox, :reply, :until)"
        " ON CONFLICT (organization, mailbox, reply) DO UPDATE SET until = :until WHERE sieve_replies.until <= :now RETURNING until",
        mailbox=mailbox,
        reply=reply,
        until=int(until),
        now=int(tx.now),
    )
    return row is not None


def forget_replies(tx: Tx, *, limit: int) -> int:
    """Forget, of the replies that count no more, so many; counts them."""
    return tx.run(
        "DELETE FROM sieve_replies WHERE organization = :organization AND (mailbox, reply) IN"
        " (SELECT mailbox, reply FROM sieve_replies WHERE organization = :organization AND until <= :now LIMIT :limit)",
        now=int(tx.now),
        limit=limit,
    )


def any_forgettable(tx: Tx) -> bool:
    """Tell whether there is a reply that counts no more."""
    return tx.one("SELECT 1 FROM sieve_replies WHERE organization = :organization AND until <= :now LIMIT 1", now=int(tx.now)) is not None
