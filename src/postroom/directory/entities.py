"""What users, groups and resources have in common: one name space, and three ways to be referred to.

A reference is an id, a name or an address, tried in that order: ids are made by us and names may contain an @.
"""

from collections.abc import Collection

from postroom.model import addresses as spelling
from postroom.model import errors
from postroom.model.entities import Entity, Kind
from postroom.storage.engine import Tx
from postroom.storage.queries import (
    access_tokens,
    addresses,
    credentials,
    delegates,
    device_overrides,
    entities,
    members,
    permissions,
    profiles,
    resources,
)

ANY: frozenset[Kind] = frozenset(Kind)
MEMBERS: frozenset[Kind] = frozenset({Kind.USER, Kind.GROUP})
"""Who can be in a group, or answer for a resource."""

RESERVED = frozenset({"administrator", "amazonjournaling", "anonymous", "everyone", "guest", "krbtgt", "public", "system"})
"""Names with a meaning of their own to directories and mail clients (WorkMail API: ReservedNameException)."""


def find(tx: Tx, reference: str, kinds: Collection[Kind] = ANY) -> Entity | None:
    """Find what an id, a name or an address refers to, if it is of one of these kinds."""
    for way in (entities.find, _find_by_name, _find_by_address):
        found = way(tx, reference)
        if found is not None and found.kind in kinds:
            return found
    return None


def get(tx: Tx, reference: str, kinds: Collection[Kind] = ANY) -> Entity:
    """Get what an id, a name or an address refers to; raises `EntityNotFound`."""
    found = find(tx, reference, kinds)
    if found is None:
        raise errors.EntityNotFound(f"There is no {_name_of(kinds)} {reference}.")
    return found


def get_by_address(tx: Tx, address: str) -> Entity:
    """Get who has an address, primary or alias; raises `EntityNotFound` (WorkMail API: DescribeEntity)."""
    found = _find_by_address(tx, address)
    if found is None:
        raise errors.EntityNotFound(f"Nobody has the address {address}.")
    return found


def require_new_name(tx: Tx, name: str) -> None:
    """Raise `NameReserved` or `NameTaken` unless a new entity may have this name, in any case."""
    key = name.casefold()
    if key in RESERVED:
        raise errors.NameReserved(f"The name {name} is reserved.")
    if entities.name_exists(tx, key):
        raise errors.NameTaken(f"The name {name} is already in use.")


def require_enabled(entity: Entity) -> None:
    """Raise `EntityState` for what takes no part in mail."""
    if not entity.enabled:
        raise errors.EntityState(f"{entity.name} is not registered to mail.")


def delete(tx: Tx, reference: str, kind: Kind) -> None:
    """Remove a disabled entity and all that refers to it; what is not there is gone already.

    The last delegate of a resource that does not answer by itself stays: `EntityState`. A mailbox stays parked for its time
    (WorkMail API: DeleteUser, DeleteGroup, DeleteResource).
    """
    found = find(tx, reference)
    if found is None:
        return
    if found.kind is not kind:
        raise errors.InvalidParameter(f"{reference} is not a {kind.lower()}.")
    if found.enabled:
        raise errors.EntityState(f"{found.name} is still registered to mail; deregister it first.")
    resource = delegates.resting_on(tx, found.id)
    if resource is not None:
        raise errors.EntityState(f"{found.name} is the only delegate of {resource}, which does not answer by itself.")
    for table in (members, delegates, permissions, device_overrides, access_tokens):
        table.delete_all(tx, found.id)
    for part in (profiles, credentials, resources):
        part.delete(tx, found.id)
    addresses.delete_all(tx, found.id)
    entities.delete(tx, found.id)


def _find_by_name(tx: Tx, text: str) -> Entity | None:
    return entities.find_by_name(tx, text.casefold())


def _find_by_address(tx: Tx, text: str) -> Entity | None:
    if "@" not in text:
        return None
    try:
        key = spelling.parse(text).key
    except errors.InvalidParameter:
        return None
    return entities.find_by_address(tx, key)


def _name_of(kinds: Collection[Kind]) -> str:
    return " or ".join(kind.lower() for kind in Kind if kind in kinds) if len(kinds) < len(ANY) else "user, group or resource"
