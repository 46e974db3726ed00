"""Registration: how an entity comes to take part in mail, and ceases to.

To register is to get a primary address and, for users and resources, a mailbox. To deregister is to lose every
address at once; the mailbox is parked and waits thirty days for the same entity to come back.
"""

from postroom.directory import outside
from postroom.directory.addresses import require_free
from postroom.directory.entities import get
from postroom.model import addresses as spelling
from postroom.model import errors
from postroom.model.entities import Entity, Kind, Role
from postroom.storage.engine import Tx
from postroom.storage.queries import addresses, entities, mailboxes

DEFAULT_QUOTA_MB = 51200


def register(tx: Tx, reference: str, email: str) -> None:
    """Give an entity its primary address and its mailbox (WorkMail API: RegisterToWorkMail).

    The same address again changes nothing; another one is `AlreadyRegistered`. Raises `AddressInUse`,
    `DomainNotFound`, `DomainState`, `EntityState` for who is gone from an outside directory.
    """
    entity = get(tx, reference)
    outside.require_present(tx, entity.id)
    address = spelling.parse(email)
    if entity.email is not None:
        if spelling.parse(entity.email).key != address.key:
            raise errors.AlreadyRegistered(f"{entity.name} is already registered as {entity.email}.")
        return
    require_free(tx, address, entity)
    addresses.insert(tx, key=address.key, spelling=email, entity=entity.id)
    provisioned_at = tx.now if _provide_mailbox(tx, entity) else None
    entities.enable(tx, entity.id, email=email, email_key=address.key, provisioned_at=provisioned_at)


def deregister(tx: Tx, reference: str) -> None:
    """Take an entity out of mail and park its mailbox; a disabled one stays so (WorkMail API: DeregisterFromWorkMail)."""
    entity = get(tx, reference)
    if not entity.enabled:
        return
    addresses.delete_all(tx, entity.id)
    if entity.has_mailbox:
        mailboxes.park(tx, entity.id)
    entities.disable(tx, entity.id, deprovisioned_at=tx.now if entity.has_mailbox else None)


def _provide_mailbox(tx: Tx, entity: Entity) -> bool:
    if entity.kind is Kind.GROUP or entity.role == Role.REMOTE_USER:
        return False
    if not mailboxes.revive(tx, entity.id):
        mailboxes.create(tx, entity.id, DEFAULT_QUOTA_MB)
    return True
