"""What makes an entity a resource, as rows."""

from postroom.model import errors
from postroom.model.entities import Booking, Resource
from postroom.storage.engine import Tx


def get(tx: Tx, entity: str) -> Resource:
    """Get the resource part of an entity; raises `EntityNotFound`."""
    row = tx.one(
        "SELECT type, description, auto_accept, decline_recurring, decline_conflicts FROM resources "
        "WHERE organization = :organization AND entity = :entity",
        entity=entity,
    )
    if row is None:
        raise errors.EntityNotFound(f"There is no resource {entity}.")
    return Resource(entity, row[0], row[1], Booking(bool(row[2]), bool(row[3]), bool(row[4])))


def insert(tx: Tx, resource: Resource) -> None:
    """Put the resource part of an entity, replacing the one there."""
    tx.run(
        "INSERT INTO resources (organization, entity, type, description, auto_accept, decline_recurring, decline_conflicts) "
        "VALUES (:organization, :entity, :type, :description, :auto_accept, :decline_recurring, :decline_conflicts) "
        "ON CONFLICT (organization, entity) DO UPDATE SET type = excluded.type, description = excluded.description, "
        "auto_accept = excluded.auto_accept, decline_recurring = excluded.decline_recurring, "
        "decline_conflicts = excluded.decline_conflicts",
        entity=resource.id,
        type=resource.type,
        description=resource.description,
        auto_accept=int(resource.booking.auto_accept),
        decline_recurring=int(resource.booking.decline_recurring),
        decline_conflicts=int(resource.booking.decline_conflicts),
    )


def delete(tx: Tx, entity: str) -> None:
    """Remove the resource part of an entity."""
    tx.run("DELETE FROM resources WHERE organization = :organization AND entity = :entity", entity=entity)
