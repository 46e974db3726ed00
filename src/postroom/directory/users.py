"""Users: people with a password and, once registered, a mailbox."""

from collections.abc import Mapping

from postroom.directory import outside
from postroom.directory.entities import delete as delete_entity
from postroom.directory.entities import get, require_new_name
from postroom.model import errors, ids
from postroom.model.entities import Entity, Kind, Role, State
from postroom.storage.engine import Tx
from postroom.storage.queries import credentials, entities, mailboxes, profiles

KINDS = frozenset({Kind.USER})
ROLES = frozenset(Role)


def create(
    tx: Tx,
    *,
    name: str,
    display_name: str,
    password_hash: str | None = None,
    role: str = Role.USER,
    hidden: bool = False,
    identity_user: str | None = None,
    profile: Mapping[str, str] | None = None,
) -> Entity:
    """Add a user, not yet registered to mail (WorkMail API: CreateUser).

    A name is unique over users, groups and resources, ignoring case; raises `NameTaken`, `NameReserved`, and `Unsupported` where users
    come from an outside directory.
    """
    outside.require_own(tx)
    _require_role(role)
    require_new_name(tx, name)
    user = Entity(
        ids.new_user_id(),
        Kind.USER,
        name,
        display_name,
        State.DISABLED,
        None,
        role,
        hidden,
        tx.now,
        None,
        None,
        None,
        None,
        identity_user or None,
    )
    entities.insert(tx, user)
    if password_hash is not None:
        credentials.insert(tx, user.id, password_hash)
    if profile:
        profiles.insert(tx, user.id, dict(profile))
    return user


def require_room(tx: Tx, most: int) -> None:
    """Raise `InvalidParameter` in an organization that has all the users it may have: CreateUser declares no other error for it."""
    if entities.count_users(tx) >= most:
        raise errors.InvalidParameter(f"An organization may have {most} users.")


def update(
    tx: Tx,
    reference: str,
    *,
    display_name: str | None = None,
    role: str | None = None,
    hidden: bool | None = None,
    identity_user: str | None = None,
    profile: Mapping[str, str] | None = None,
) -> None:
    """Change what is given and leave the rest; an empty text clears (WorkMail API: UpdateUser).

    Raises `Unsupported` for what an outside directory says of its users.
    """
    if display_name is not None or profile:
        outside.require_own(tx)
    user = get(tx, reference, KINDS)
    if role is not None and role != user.role:
        _require_role(role)
        if user.enabled:
            raise errors.EntityState(f"{user.name} is registered to mail; its role cannot change.")
    entities.update(
        tx,
        user.id,
        name=user.name,
        display_name=user.display_name if display_name is None else display_name,
        role=role or user.role,
        hidden=user.hidden if hidden is None else hidden,
        identity_user=user.identity_user if identity_user is None else identity_user or None,
    )
    if profile:
        profiles.insert(tx, user.id, (profiles.find(tx, user.id) or {}) | dict(profile))


def reset_password(tx: Tx, reference: str, password_hash: str) -> None:
    """Replace a user's password; whoever has signed in with the old one is asked again (WorkMail API: ResetPassword)."""
    outside.require_own(tx)
    user = get(tx, reference, KINDS)
    credentials.insert(tx, user.id, password_hash)
    mailboxes.doubt(tx, user.id)


def delete(tx: Tx, reference: str) -> None:
    """Remove a disabled user; a missing one is gone already (WorkMail API: DeleteUser)."""
    outside.require_own(tx)
    delete_entity(tx, reference, Kind.USER)


def _require_role(role: str) -> None:
    if role not in ROLES:
        raise errors.InvalidParameter(f"The role {role} cannot be given to a user.")
