"""Users of the API: who may sign requests, with which access keys, and under which inline policies.

A key has an id to show and a secret to sign with; AWS prints the secret once, so do we.  Whether a policy is sound is judged before it
comes here (`policy.iam.inline_policies`).
"""

from __future__ import annotations

import secrets
import string

from postroom.model import errors
from postroom.model.principals import AccessKey, KeyStatus, User
from postroom.storage.engine import Tx
from postroom.storage.queries import principals

LETTERS = string.ascii_uppercase + "234567"
SECRET_LETTERS = string.ascii_letters + string.digits + "+/"
LONGEST_NAME = 64
MOST_USERS = 5000
MOST_KEYS = 2
_NAME = frozenset(string.ascii_letters + string.digits + "+=,.@_-")


def create_user(tx: Tx, *, name: str, path: str = "/") -> User:
    """Make a user; raises InvalidParameter, NameTaken, LimitExceeded (IAM API: CreateUser).

    Names are unique whatever their case, but are only found in the case in which they were given.
    """
    require_name(name)
    if principals.find_user_by_name(tx, name):
        raise errors.NameTaken(f"User with name {name} already exists.")
    if principals.count_users(tx) >= MOST_USERS:
        raise errors.LimitExceeded(f"Cannot exceed quota for UsersPerAccount: {MOST_USERS}")
    user = User(f"AIDA{random_text(LETTERS, 16)}", name, path, tx.now)
    principals.insert_user(tx, user)
    return user


def require_name(name: str) -> None:
    """Raise InvalidParameter unless a name fits into an ARN."""
    if not 0 < len(name) <= LONGEST_NAME or not _NAME.issuperset(name):
        raise errors.InvalidParameter(f"A name has 1 to {LONGEST_NAME} letters, digits or +=,.@_- in it.")


def find_user(tx: Tx, name: str) -> User | None:
    """Find a user by exactly its name."""
    found = principals.find_user_by_name(tx, name)
    return found if found is not None and found.name == name else None


def get_user(tx: Tx, name: str) -> User:
    """Get a user by exactly its name; raises EntityNotFound (IAM API: GetUser)."""
    found = find_user(tx, name)
    if found is None:
        raise errors.EntityNotFound(f"The user with name {name} cannot be found.")
    return found


def delete_user(tx: Tx, name: str) -> None:
    """Delete a user who has neither keys nor policies; raises EntityNotFound, DeleteConflict (IAM API: DeleteUser)."""
    user = get_user(tx, name)
    if principals.keys_of(tx, user.id):
        raise errors.DeleteConflict("Cannot delete entity, must delete access keys first.")
    if principals.policies(tx, user.id):
        raise errors.DeleteConflict("Cannot delete entity, must delete policies first.")
    principals.delete_user(tx, user.id)


def create_key(tx: Tx, user: User) -> AccessKey:
    """Make an access key of a user; raises LimitExceeded (IAM API: CreateAccessKey)."""
    if len(principals.keys_of(tx, user.id)) >= MOST_KEYS:
        raise errors.LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {MOST_KEYS}")
    key = AccessKey(
        id=f"AKIA{random_text(LETTERS, 16)}",
        secret=random_text(SECRET_LETTERS, 40),
        user_id=user.id,
        name=user.name,
        status=KeyStatus.ACTIVE,
        created_at=tx.now,
        last_used_at=None,
        last_used_service=None,
    )
    principals.insert_key(tx, key)
    return key


def find(tx: Tx, key_id: str) -> AccessKey | None:
    """Find a key in whatever status."""
    return principals.find_key(tx, key_id)


def get(tx: Tx, key_id: str, owner: User | None = None) -> AccessKey:
    """Get a key, of a certain user if one is given; raises EntityNotFound."""
    found = principals.find_key(tx, key_id)
    if found is None or (owner is not None and found.user_id != owner.id):
        raise errors.EntityNotFound(f"There is no access key {key_id}.")
    return found


def page(tx: Tx) -> list[AccessKey]:
    """List the keys of all users, oldest first."""
    return principals.keys(tx)


def keys_of(tx: Tx, user: User) -> list[AccessKey]:
    """List a user's keys, oldest first (IAM API: ListAccessKeys)."""
    return principals.keys_of(tx, user.id)


def set_status(tx: Tx, key_id: str, status: KeyStatus, owner: User | None = None) -> None:
    """Let a key sign, or not; raises EntityNotFound (IAM API: UpdateAccessKey)."""
    principals.set_key_status(tx, get(tx, key_id, owner).id, status)


def note_use(tx: Tx, key_id: str, at: float, service: str) -> None:
    """Note when a key was last used, in epoch seconds, and for which service (IAM API: GetAccessKeyLastUsed)."""
    principals.set_key_used(tx, key_id, at, service)


def delete(tx: Tx, key_id: str, owner: User | None = None) -> None:
    """Delete a key; raises EntityNotFound (IAM API: DeleteAccessKey)."""
    principals.delete_key(tx, get(tx, key_id, owner).id)


def random_text(letters: str, length: int) -> str:
    """Make a text that cannot be guessed."""
    return "".join(secrets.choice(letters) for _ in range(length))
