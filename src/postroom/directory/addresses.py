"""Addresses: a registered entity has one primary address and up to a hundred aliases, in verified domains."""

from postroom.directory import domains
from postroom.directory.entities import get, require_enabled
from postroom.model import addresses as spelling
from postroom.model import errors
from postroom.model.addresses import Address
from postroom.model.entities import Entity
from postroom.storage.engine import Tx
from postroom.storage.queries import addresses, entities

MAX_ALIASES = 100


def resolve(tx: Tx, address_text: str) -> Entity | None:
    """Find whose mail this is: of the exact address, else of what stands before the first + (RFC 5233).

    Text that is no address is nobody's. Only enabled entities have addresses.
    """
    try:
        address = spelling.parse(address_text)
    except errors.InvalidParameter:
        return None
    found = entities.find_by_address(tx, address.key)
    base, plus, _ = address.local.partition("+")
    if found is None and plus and base:
        found = entities.find_by_address(tx, Address(base, address.domain).key)
    return found


def owned(tx: Tx, entity_id: str) -> list[str]:
    """List every address of an entity as it was written, the primary one first."""
    entity = entities.get(tx, entity_id)
    if entity.email is None:
        return []
    spelled = [text for _, text in addresses.page(tx, entity_id, after="", limit=MAX_ALIASES + 1)]
    return sorted(spelled, key=lambda text: text != entity.email)


def add_alias(tx: Tx, reference: str, text: str) -> None:
    """Give an enabled entity another address, which it may have already (WorkMail API: CreateAlias).

    Raises `EntityState`, `AddressInUse`, `DomainNotFound`, `DomainState`, `LimitExceeded` (at 100).
    """
    entity = get(tx, reference)
    require_enabled(entity)
    address = spelling.parse(text)
    if require_free(tx, address, entity):
        if addresses.count(tx, entity.id) > MAX_ALIASES:
            raise errors.LimitExceeded(f"{entity.name} has {MAX_ALIASES} aliases, which is the limit.")
        addresses.insert(tx, key=address.key, spelling=text, entity=entity.id)


def remove_alias(tx: Tx, reference: str, text: str) -> None:
    """Take an alias away, which need not be there; the primary address stays (WorkMail API: DeleteAlias)."""
    entity = get(tx, reference)
    key = spelling.parse(text).key
    if entity.email is not None and key == spelling.parse(entity.email).key:
        raise errors.InvalidParameter(f"{text} is the primary address of {entity.name}.")
    addresses.delete(tx, key=key, entity=entity.id)


def set_primary(tx: Tx, reference: str, text: str) -> None:
    """Make an address the primary one; the old one becomes an alias (WorkMail API: UpdatePrimaryEmailAddress)."""
    entity = get(tx, reference)
    require_enabled(entity)
    address = spelling.parse(text)
    if require_free(tx, address, entity):
        if addresses.count(tx, entity.id) > MAX_ALIASES:
            raise errors.InvalidParameter(f"{entity.name} has {MAX_ALIASES} aliases; remove one first.")
    else:
        addresses.delete(tx, key=address.key, entity=entity.id)
    addresses.insert(tx, key=address.key, spelling=text, entity=entity.id)
    entities.update_email(tx, entity.id, email=text, email_key=address.key)


def require_free(tx: Tx, address: Address, entity: Entity) -> bool:
    """Say whether an address is free, or this entity's already (False).

    Raises `AddressInUse` for anybody else's, `DomainNotFound` or `DomainState` for a domain without mail.
    """
    owner = addresses.find_owner(tx, address.key)
    if owner == entity.id:
        return False
    domains.require_verified(tx, address.domain)
    if owner is not None:
        raise errors.AddressInUse(f"The address {address} is already in use.")
    return True
