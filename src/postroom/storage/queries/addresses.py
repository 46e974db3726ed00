"""Addresses of registered entities as rows, by the key under which addresses are compared."""

from postroom.storage.engine import Tx


def find_owner(tx: Tx, key: str) -> str | None:
    """Find whose address this is."""
    row = tx.one("SELECT entity FROM addresses WHERE organization = :organization AND address = :address", address=key)
    return row[0] if row else None


def insert(tx: Tx, *, key: str, spelling: str, entity: str) -> None:
    """Add an address; its domain is what follows the last @ of the key."""
    tx.run(
        "INSERT INTO addresses (organization, address, spelling, domain, entity) "
        "VALUES (:organization, :address, :spelling, :domain, :entity)",
        address=key,
        spelling=spelling,
        domain=key.rpartition("@")[2],
        entity=entity,
    )


def delete(tx: Tx, *, key: str, entity: str) -> int:
    """Remove an address of one entity; counts rows."""
    return tx.run(
        "DELETE FROM addresses WHERE organization = :organization AND address = :address AND entity = :entity",
        address=key,
        entity=entity,
    )


def delete_all(tx: Tx, entity: str) -> int:
    """Remove every address of one entity; counts rows."""
    return tx.run("DELETE FROM addresses WHERE organization = :organization AND entity = :entity", entity=entity)


def clear(tx: Tx) -> int:
    """Remove every address; counts rows."""
    return tx.run("DELETE FROM addresses WHERE organization = :organization")


def page(tx: Tx, entity: str, *, after: str, limit: int) -> list[tuple[str, str]]:
    """List the (key, spelling) of an entity's addresses behind a key, in order of key."""
    return tx.all(
        "SELECT address, spelling FROM addresses WHERE organization = :organization AND entity = :entity AND address > :after "
        "ORDER BY address LIMIT :limit",
        entity=entity,
        after=after,
        limit=limit,
    )


def count(tx: Tx, entity: str) -> int:
    """Count the addresses of one entity, the primary one among them."""
    row = tx.one("SELECT COUNT(*) FROM addresses WHERE organization = :organization AND entity = :entity", entity=entity)
    return int(row[0]) if row else 0


def domain_used(tx: Tx, domain: str) -> bool:
    """Say whether any address is in a mail domain."""
    found = tx.one("SELECT 1 FROM addresses WHERE organization = :organization AND domain = :domain LIMIT 1", domain=domain)
    return found is not None
