"""Roles of the API, which users take on for a while, and the sessions in which they do.

A session has credentials of its own and ends by itself.  Whether somebody may begin one is judged before (`policy.iam.trust`).
"""

from __future__ import annotations

from postroom.directory import principals
from postroom.directory.principals import LETTERS, SECRET_LETTERS, random_text
from postroom.model import errors
from postroom.model.principals import Role, Session
from postroom.storage.engine import Tx
from postroom.storage.queries import principals as principal_rows
from postroom.storage.queries import roles

MOST_ROLES = 1000
MOST_SESSIONS = 5000
"""Of one role at one time."""
SESSION_SECONDS = 3600
"""The longest session of a role that says nothing else."""
KEPT_SECONDS = 3600.0
"""How long a session that has ended is remembered, so that its user hears that it has."""


def create(
    tx: Tx, *, name: str, trust: str, trusted: str, path: str = "/", description: str | None = None, session_seconds: int = SESSION_SECONDS
) -> Role:
    """Make a role; raises InvalidParameter, NameTaken, LimitExceeded (IAM API: CreateRole).

    Names are unique whatever their case, but are only found in the case in which they were given.
    """
    principals.require_name(name)
    if roles.find_by_name(tx, name):
        raise errors.NameTaken(f"Role with name {name} already exists.")
    if roles.count(tx) >= MOST_ROLES:
        raise errors.LimitExceeded(f"Cannot exceed quota for RolesPerAccount: {MOST_ROLES}")
    role = Role(f"AROA{random_text(LETTERS, 16)}", name, path, trust, trusted, description, session_seconds, tx.now)
    roles.insert(tx, role)
    return role


def find(tx: Tx, name: str) -> Role | None:
    """Find a role by exactly its name."""
    found = roles.find_by_name(tx, name)
    return found if found is not None and found.name == name else None


def get(tx: Tx, name: str) -> Role:
    """Get a role by exactly its name; raises EntityNotFound (IAM API: GetRole)."""
    found = find(tx, name)
    if found is None:
        raise errors.EntityNotFound(f"The role with name {name} cannot be found.")
    return found


def delete(tx: Tx, name: str) -> None:
    """Delete a role without policies, and end its sessions; raises EntityNotFound, DeleteConflict (IAM API: DeleteRole)."""
    role = get(tx, name)
    if principal_rows.policies(tx, role.id):
        raise errors.DeleteConflict("Cannot delete entity, must delete policies first.")
    roles.delete(tx, role.id)


def begin_session(tx: Tx, role: Role, *, name: str, seconds: int, policy: str | None) -> Session:
    """Make the credentials of a session; raises TryLater when the role has too many. Forgets those that ended long ago.

    (STS API: AssumeRole)
    """
    roles.delete_sessions(tx, tx.now - KEPT_SECONDS)
    if roles.count_sessions(tx, role.id) >= MOST_SESSIONS:
        raise errors.TryLater(f"The role {role.name} has {MOST_SESSIONS} sessions; try again when some have ended.")
    session = Session(
        id=f"ASIA{random_text(LETTERS, 16)}",
        secret=random_text(SECRET_LETTERS, 40),
        token=random_text(SECRET_LETTERS, 160),
        role_id=role.id,
        name=name,
        policy=policy,
        created_at=tx.now,
        expires_at=tx.now + seconds,
    )
    roles.insert_session(tx, session)
    return session
