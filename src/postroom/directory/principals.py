"""API principals: who may sign requests, and with which access key.

A key has an id to show, a secret to sign with, the name of a user and a policy document that says what the user may do.  Whether the
document is sound is judged before it comes here (`policy.access_keys`).  AWS prints the secret once; so do we.
"""

from __future__ import annotations

import secrets
import string
from enum import StrEnum

from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import principals
from postroom.storage.queries.principals import AccessKey

ID_PREFIX = "AKIA"
ID_LETTERS = string.ascii_uppercase + "234567"
SECRET_LETTERS = string.ascii_letters + string.digits + "+/"
LONGEST_NAME = 64
_NAME = frozenset(string.ascii_letters + string.digits + "+=,.@_-")


class KeyStatus(StrEnum):
    """Whether a key may sign (IAM API: UpdateAccessKey)."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


def create(tx: Tx, *, name: str, policy: str) -> AccessKey:
    """Make an access key for a user's name, 1 to 64 letters, digits or `+=,.@_-`; raises InvalidParameter (IAM API: CreateAccessKey)."""
    if not 0 < len(name) <= LONGEST_NAME or not _NAME.issuperset(name):
        raise errors.InvalidParameter(f"A key's name has 1 to {LONGEST_NAME} letters, digits or +=,.@_- in it.")
    key = AccessKey(
        id=ID_PREFIX + _random(ID_LETTERS, 16),
        secret=_random(SECRET_LETTERS, 40),
        session_token=None,
        name=name,
        status=KeyStatus.ACTIVE,
        policy=policy,
        created_at=tx.now,
        last_used_at=None,
    )
    principals.insert(tx, key)
    return key


def find(tx: Tx, key_id: str) -> AccessKey | None:
    """Find a key in whatever status."""
    return principals.find(tx, key_id)


def page(tx: Tx) -> list[AccessKey]:
    """List all keys, oldest first (IAM API: ListAccessKeys)."""
    return principals.page(tx)


def set_status(tx: Tx, key_id: str, status: KeyStatus) -> None:
    """Let a key sign, or not; raises ResourceNotFound (IAM API: UpdateAccessKey)."""
    if not principals.set_status(tx, key_id, status):
        raise errors.ResourceNotFound(f"There is no access key {key_id}.")


def note_use(tx: Tx, key_id: str, at: float) -> None:
    """Note when a key was last used; epoch seconds (IAM API: GetAccessKeyLastUsed)."""
    principals.set_last_used(tx, key_id, at)


def delete(tx: Tx, key_id: str) -> None:
    """Delete a key; raises ResourceNotFound (IAM API: DeleteAccessKey)."""
    if not principals.delete(tx, key_id):
        raise errors.ResourceNotFound(f"There is no access key {key_id}.")


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))
