"""Who is behind an access key: the identity, the secret to check signatures with, and what the policies say."""

from __future__ import annotations

from dataclasses import dataclass

from postroom.directory import principals
from postroom.model.principals import Identity, KeyStatus, Session
from postroom.policy import iam
from postroom.policy.iam import Policy, inline_policies
from postroom.storage.engine import Tx
from postroom.storage.queries import principals as principal_rows
from postroom.storage.queries import roles

SESSION_PREFIX = "ASIA"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that may sign, a permanent one or a session's; times are epoch seconds."""

    key_id: str
    secret: str
    token: str | None
    """What a session sends along; a permanent key comes without one."""
    identity: Identity
    policy: Policy
    issued_at: float = 0.0
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"Signer({self.key_id!r}, {self.identity!r})"


def find(tx: Tx, key_id: str) -> Signer | None:
    """Find who signs with a key; None for one that is unknown or inactive, or whose role is gone. Registry."""
    return _session(tx, key_id) if key_id.startswith(SESSION_PREFIX) else _user(tx, key_id)


def _user(tx: Tx, key_id: str) -> Signer | None:
    key = principals.find(tx, key_id)
    user = principal_rows.find_user(tx, key.user_id) if key is not None else None
    if key is None or user is None or key.status != KeyStatus.ACTIVE:
        return None
    return Signer(key.id, key.secret, None, Identity(user.id, user.name, user.path), inline_policies.compiled(tx, user.id))


def _session(tx: Tx, key_id: str) -> Signer | None:
    session = roles.find_session(tx, key_id)
    role = roles.find(tx, session.role_id) if session is not None else None
    if session is None or role is None:
        return None
    identity = Identity(role.id, role.name, role.path, session.name)
    policy = _narrowed(session, inline_policies.compiled(tx, role.id))
    return Signer(session.id, session.secret, session.token, identity, policy, session.created_at, session.expires_at)


def _narrowed(session: Session, policy: Policy) -> Policy:
    return policy if session.policy is None else iam.narrowed(policy, iam.parse(session.policy))
