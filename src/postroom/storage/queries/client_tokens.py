"""Answers given to requests with a client token, in the scope that decided them."""

from dataclasses import dataclass

from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request's input, as a digest, and the answer it got, as JSON."""

    input: str
    answer: str


def find(tx: Tx, account: str, operation: str, token: str) -> Remembered | None:
    """Find the answer under a token that has not expired."""
    row = tx.one(
        "SELECT input, answer FROM client_tokens WHERE organization = :organization AND account = :account"
        " AND operation = :operation AND token = :token AND expires_at > :now",
        account=account,
        operation=operation,
        token=token,
        now=tx.now,
    )
    return Remembered(*row) if row else None


def insert(tx: Tx, account: str, operation: str, token: str, remembered: Remembered, expires_at: float) -> None:
    """Keep an answer until a time in epoch seconds, and forget those whose time has passed."""
    tx.run("DELETE FROM client_tokens WHERE organization = :organization AND expires_at <= :now", now=tx.now)
    tx.run(
        "INSERT INTO client_tokens (organization, account, operation, token, input, answer, expires_at)"
        " VALUES (:organization, :account, :operation, :token, :input, :answer, :expires_at)",
        account=account,
        operation=operation,
        token=token,
        input=remembered.input,
        answer=remembered.answer,
        expires_at=expires_at,
    )
