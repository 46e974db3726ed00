"""Resources: rooms and equipment with a calendar, which answers meeting requests itself or through delegates."""

from postroom.directory.entities import MEMBERS, get, require_new_name
from postroom.directory.entities import delete as delete_entity
from postroom.model import errors, ids
from postroom.model.entities import Booking, Entity, Kind, Resource, State
from postroom.storage.engine import Tx
from postroom.storage.queries import delegates, entities, resources

KINDS = frozenset({Kind.RESOURCE})


def create(tx: Tx, *, name: str, type: str, description: str | None = None, hidden: bool = False) -> Entity:
    """Add a resource, not yet registered to mail; raises `NameTaken`, `NameReserved` (WorkMail API: CreateResource)."""
    require_new_name(tx, name)
    identifier = ids.new_resource_id()
    entity = Entity(identifier, Kind.RESOURCE, name, name, State.DISABLED, None, "RESOURCE", hidden, tx.now, None, None, None, None, None)
    entities.insert(tx, entity)
    resources.insert(tx, Resource(identifier, type, description, Booking()))
    return entity


def describe(tx: Tx, reference: str) -> tuple[Entity, Resource]:
    """Get a resource and what makes it one (WorkMail API: DescribeResource)."""
    entity = get(tx, reference, KINDS)
    return entity, resources.get(tx, entity.id)


def update(
    tx: Tx,
    reference: str,
    *,
    name: str | None = None,
    type: str | None = None,
    description: str | None = None,
    hidden: bool | None = None,
    auto_accept: bool | None = None,
    decline_recurring: bool | None = None,
    decline_conflicts: bool | None = None,
) -> None:
    """Change what is given and leave the rest; an empty description clears it (WorkMail API: UpdateResource).

    One that neither answers by itself nor has a delegate is an `InvalidConfiguration`.
    """
    entity, old = describe(tx, reference)
    booking = Booking(
        old.booking.auto_accept if auto_accept is None else auto_accept,
        old.booking.decline_recurring if decline_recurring is None else decline_recurring,
        old.booking.decline_conflicts if decline_conflicts is None else decline_conflicts,
    )
    if not booking.auto_accept and old.booking.auto_accept and not delegates.count(tx, entity.id):
        raise errors.InvalidConfiguration(f"{entity.name} has no delegate to answer for it.")
    if name is not None and name.casefold() != entity.name.casefold():
        require_new_name(tx, name)
    new_name = name or entity.name
    entities.update(
        tx,
        entity.id,
        name=new_name,
        display_name=new_name,
        role=entity.role,
        hidden=entity.hidden if hidden is None else hidden,
        identity_user=None,
    )
    text = old.description if description is None else description or None
    resources.insert(tx, Resource(entity.id, type or old.type, text, booking))


def delete(tx: Tx, reference: str) -> None:
    """Remove a disabled resource; a missing one is gone already (WorkMail API: DeleteResource)."""
    delete_entity(tx, reference, Kind.RESOURCE)


def add_delegate(tx: Tx, reference: str, delegate_reference: str) -> None:
    """Let a user or group answer for a resource, as it may already (WorkMail API: AssociateDelegateToResource)."""
    resource = get(tx, reference, KINDS)
    delegate = get(tx, delegate_reference)
    if delegate.kind not in MEMBERS:
        raise errors.InvalidParameter("A resource cannot answer for another.")
    delegates.insert(tx, resource=resource.id, delegate=delegate.id)


def remove_delegate(tx: Tx, reference: str, delegate_reference: str) -> None:
    """End a delegation (WorkMail API: DisassociateDelegateFromResource).

    The last delegate of a resource that does not answer by itself stays: `EntityState`.
    """
    entity, resource = describe(tx, reference)
    delegate = get(tx, delegate_reference, MEMBERS)
    removed = delegates.delete(tx, resource=entity.id, delegate=delegate.id)
    if removed and not resource.booking.auto_accept and not delegates.count(tx, entity.id):
        raise errors.EntityState(f"{entity.name} does not answer by itself and needs a delegate.")
