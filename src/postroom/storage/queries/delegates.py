"""Who answers for which resource, as rows."""

from postroom.storage.engine import Tx


def insert(tx: Tx, *, resource: str, delegate: str) -> None:
    """Add a delegate, who may be one already."""
    tx.run(
        "INSERT INTO delegates (organization, resource, delegate) VALUES (:organization, :resource, :delegate) "
        "ON CONFLICT (organization, resource, delegate) DO NOTHING",
        resource=resource,
        delegate=delegate,
    )


def delete(tx: Tx, *, resource: str, delegate: str) -> int:
    """Remove a delegate; counts rows."""
    return tx.run(
        "DELETE FROM delegates WHERE organization = :organization AND resource = :resource AND delegate = :delegate",
        resource=resource,
        delegate=delegate,
    )


def delete_all(tx: Tx, entity: str) -> None:
    """Forget an entity, as a delegate and as a resource."""
    tx.run("DELETE FROM delegates WHERE organization = :organization AND delegate = :entity", entity=entity)
    tx.run("DELETE FROM delegates WHERE organization = :organization AND resource = :entity", entity=entity)


def page(tx: Tx, resource: str, *, after: str, limit: int) -> list[tuple[object, ...]]:
    """List a resource's delegates behind an id: (id, kind), in order of id."""
    return tx.all(
        "SELECT d.delegate, e.kind FROM delegates d JOIN entities e ON e.organization = d.organization AND e.id = d.delegate "
        "WHERE d.organization = :organization AND d.resource = :resource AND d.delegate > :after ORDER BY d.delegate LIMIT :limit",
        resource=resource,
        after=after,
        limit=limit,
    )


def resting_on(tx: Tx, delegate: str) -> str | None:
    """Find the name of a resource that does not answer by itself and has no other delegate than this one."""
    row = tx.one(
        "SELECT e.name FROM delegates d JOIN resources r ON r.organization = d.organization AND r.entity = d.resource "
        "JOIN entities e ON e.organization = d.organization AND e.id = d.resource "
        "WHERE d.organization = :organization AND d.delegate = :delegate AND r.auto_accept = 0 AND NOT EXISTS "
        "(SELECT 1 FROM delegates o WHERE o.organization = d.organization AND o.resource = d.resource AND o.delegate <> d.delegate) "
        "LIMIT 1",
        delegate=delegate,
    )
    return row[0] if row else None


def count(tx: Tx, resource: str) -> int:
    """Count a resource's delegates."""
    row = tx.one("SELECT COUNT(*) FROM delegates WHERE organization = :organization AND resource = :resource", resource=resource)
    return int(row[0]) if row else 0
