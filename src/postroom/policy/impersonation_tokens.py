"""Tokens of impersonation roles: what a program gets for a while to act as others in EWS.

A token names its organization and bears a secret of 256 bits; only a digest of it is kept, with the role and the time it ends. Everything
else is asked anew each time it is used, so what changes about a role, a user or an access rule binds tokens that live already.
"""

import hashlib
import re
import secrets

from postroom.model import errors
from postroom.model.actors import Actor, Client, Protocol
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.policy import access_rules, impersonation, sign_in
from postroom.policy.access_rules import Situation
from postroom.policy.impersonation import Role, RoleType
from postroom.storage.engine import Tx
from postroom.storage.queries import credentials, organizations
from postroom.storage.queries import impersonation as rows

SECONDS = 900
"""How long a token lives (WorkMail API: AssumeImpersonationRole)."""
MOST_LIVING = 10_000
"""Living tokens of one role, eleven a second."""
PURGED_AT_ONCE = 1000
LONGEST_TARGET = 320
_FORM = re.compile(r"(m-[0-9a-f]{32})\.[A-Za-z0-9_-]{43}")


def assume(tx: Tx, organization: Organization, role_id: str) -> str:
    """Give a new token of a role.

    Raises `ResourceNotFound`, and `TryLater` while the role has too many (WorkMail API: AssumeImpersonationRole).
    """
    role = impersonation.get(tx, role_id)
    if rows.count_tokens(tx, role.id) >= MOST_LIVING:
        raise errors.TryLater(f"The impersonation role {role.id} has too many tokens that have not expired.")
    token = f"{organization.id}.{secrets.token_urlsafe(32)}"
    rows.insert_token(tx, _digest(token), role=role.id, expires_at=tx.now + SECONDS)
    return token


def locate(tx: Tx, token: str) -> Organization | None:
    """Find the active organization that a token names. Registry."""
    named = _FORM.fullmatch(token)
    found = organizations.find(tx, named[1]) if named else None
    return found if found is not None and found.state == OrganizationStatus.ACTIVE else None


def redeem(tx: Tx, organization: Organization, token: str, target: str, client: Client) -> Actor:
    """Say as whom a token lets its bearer act: as the user who has an address, primary or alias.

    Raises `SignInFailed` for a token that is worth nothing, or no longer; `NotPermitted` where the role, or an access rule about it,
    does not let it act as this user by this protocol from there, and where there is no such user.
    """
    row = rows.find_by_token(tx, _digest(token))
    if row is None:
        raise errors.SignInFailed()
    role = impersonation.role_of(row)
    found = _find(tx, target)
    if found is None or not _permitted(tx, role, found[0], client):
        raise errors.NotPermitted()
    user_id, email, mailbox = found
    reading = role.type is RoleType.READ_ONLY
    return Actor(tx.organization, organization.id, user_id, email, client, mailbox, read_only=reading, impersonation_role_id=role.id)


def purge(tx: Tx) -> int:
    """Remove tokens that have expired, a page of them; gives their number."""
    return rows.delete_expired(tx, PURGED_AT_ONCE)


def any_expired(tx: Tx) -> bool:
    """Say whether there is something to purge."""
    return rows.expired(tx)


def _permitted(tx: Tx, role: Role, user_id: str, client: Client) -> bool:
    """Ask the role's rules and the access rules; roles are for EWS alone."""
    if client.protocol is not Protocol.EWS or not impersonation.decide(role.rules, user_id).allowed:
        return False
    situation = Situation(client.action, client.address, impersonation_role_id=role.id)
    return access_rules.decide(access_rules.load(tx), situation).allowed


def _find(tx: Tx, target: str) -> tuple[str, str, int] | None:
    key = sign_in.key_of(target) if len(target) <= LONGEST_TARGET else None
    row = credentials.find_by_address(tx, key) if key else None
    return (row[0], row[1], row[3] or 0) if row else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
