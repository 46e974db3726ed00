"""Rows of the registry: organizations and the mail domains they have claimed.

Every function takes a transaction of the registry.
"""

from typing import Any

from postroom.model import errors
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.storage.engine import Tx

_COLUMNS = (
    "number, id, alias, state, directory_id, directory_type, default_domain, key_arn, created_at, completed_at, deleted_at, error_message, "
    "interoperability"
)


def insert(tx: Tx, organization: Organization, wrapped_key: bytes) -> None:
    """Insert an organization with its wrapped data key."""
    tx.run(
        "INSERT INTO organizations"
        " (number, id, alias, state, directory_id, directory_type, default_domain, key_arn, wrapped_key, created_at, interoperability)"
        " VALUES (:number, :id, :alias, :state, :directory_id, :directory_type, :default_domain, :key_arn, :wrapped_key, :created_at,"
        " :interoperability)",
        number=organization.number,
        id=organization.id,
        alias=organization.alias,
        state=organization.state,
        directory_id=organization.directory_id,
        directory_type=organization.directory_type,
        default_domain=organization.default_domain,
        key_arn=organization.key_arn,
        wrapped_key=wrapped_key,
        created_at=organization.created_at,
        interoperability=int(organization.interoperability),
    )


def next_number(tx: Tx) -> int:
    """Give the number of the next organization; numbers are never used again, since deleted rows stay."""
    row = tx.one("SELECT coalesce(max(number), 0) + 1 FROM organizations")
    return int(row[0]) if row else 1


def find(tx: Tx, organization_id: str) -> Organization | None:
    """Find an organization by its id."""
    return _organization(tx.one(f"SELECT {_COLUMNS} FROM organizations WHERE id = :id", id=organization_id))


def get(tx: Tx, organization_id: str) -> Organization:
    """Get an organization by its id; raises OrganizationNotFound."""
    found = find(tx, organization_id)
    if found is None:
        raise errors.OrganizationNotFound(f"The organization {organization_id} does not exist.")
    return found


def find_by_number(tx: Tx, number: int) -> Organization | None:
    """Find an organization by its storage scope."""
    return _organization(tx.one(f"SELECT {_COLUMNS} FROM organizations WHERE number = :number", number=number))


def find_by_alias(tx: Tx, alias: str) -> Organization | None:
    """Find the organization that has an alias now, in any case; a deleted one has given it up."""
    return _organization(
        tx.one(
            f"SELECT {_COLUMNS} FROM organizations WHERE lower(alias) = :alias AND state <> :deleted",
            alias=alias.lower(),
            deleted=OrganizationStatus.DELETED,
        )
    )


def find_by_directory(tx: Tx, directory_id: str) -> Organization | None:
    """Find the organization that has a directory now; a deleted one has given it up."""
    return _organization(
        tx.one(
            f"SELECT {_COLUMNS} FROM organizations WHERE directory_id = :directory AND state <> :deleted LIMIT 1",
            directory=directory_id,
            deleted=OrganizationStatus.DELETED,
        )
    )


def page(tx: Tx, after: int, limit: int) -> list[Organization]:
    """List organizations in the order of their making, deleted ones too, behind a number."""
    rows = tx.all(f"SELECT {_COLUMNS} FROM organizations WHERE number > :after ORDER BY number LIMIT :limit", after=after, limit=limit)
    return [Organization(*row) for row in rows]


def in_state(tx: Tx, state: str) -> list[Organization]:
    """List the organizations in a state."""
    rows = tx.all(f"SELECT {_COLUMNS} FROM organizations WHERE state = :state ORDER BY number", state=state)
    return [Organization(*row) for row in rows]


def set_state(tx: Tx, number: int, state: str, *, completed_at: float | None = None, deleted_at: float | None = None) -> None:
    """Change the state; times that are None stay."""
    tx.run(
        "UPDATE organizations SET state = :state, completed_at = coalesce(:completed_at, completed_at),"
        " deleted_at = coalesce(:deleted_at, deleted_at) WHERE number = :number",
        number=number,
        state=state,
        completed_at=completed_at,
        deleted_at=deleted_at,
    )


def set_default_domain(tx: Tx, number: int, domain: str) -> None:
    """Change the default mail domain."""
    tx.run("UPDATE organizations SET default_domain = :domain WHERE number = :number", number=number, domain=domain)


def shred_key(tx: Tx, number: int) -> None:
    """Forget the wrapped data key; nothing of the organization can be read again."""
    tx.run("UPDATE organizations SET wrapped_key = NULL WHERE number = :number", number=number)


def find_claim(tx: Tx, domain: str) -> int | None:
    """Find the number of the organization that has claimed a mail domain (A-labels, lower case)."""
    row = tx.one("SELECT number FROM domain_claims WHERE domain = :domain", domain=domain)
    return int(row[0]) if row else None


def find_route(tx: Tx, domain: str) -> int | None:
    """Find the number of the organization that hosts a mail domain: whose claim is verified."""
    row = tx.one("SELECT number FROM domain_claims WHERE domain = :domain AND verified = 1", domain=domain)
    return int(row[0]) if row else None


def insert_claim(tx: Tx, domain: str, number: int, *, verified: bool = False, zone: str | None = None) -> bool:
    """Claim a mail domain, with the hosted zone its records go into; say whether it is this organization's now."""
    tx.run(
        "INSERT INTO domain_claims (domain, number, verified, zone) VALUES (:domain, :number, :verified, :zone)"
        " ON CONFLICT (domain) DO NOTHING",
        domain=domain,
        number=number,
        verified=int(verified),
        zone=zone,
    )
    return find_claim(tx, domain) == number


def verify_claim(tx: Tx, domain: str, number: int, *, verified: bool = True) -> int:
    """Open or close the route that follows a claim; counts rows."""
    return tx.run(
        "UPDATE domain_claims SET verified = :verified WHERE domain = :domain AND number = :number",
        domain=domain,
        number=number,
        verified=int(verified),
    )


def claims(tx: Tx, number: int) -> list[tuple[str, bool, str | None]]:
    """List the claims of an organization: (domain, verified, hosted zone)."""
    rows = tx.all("SELECT domain, verified, zone FROM domain_claims WHERE number = :number ORDER BY domain", number=number)
    return [(domain, bool(verified), zone) for domain, verified, zone in rows]


def delete_claim(tx: Tx, domain: str, number: int) -> None:
    """Give up a claim, if it is this organization's."""
    tx.run("DELETE FROM domain_claims WHERE domain = :domain AND number = :number", domain=domain, number=number)


def delete_claims(tx: Tx, number: int) -> None:
    """Give up all claims of an organization."""
    tx.run("DELETE FROM domain_claims WHERE number = :number", number=number)


def _organization(row: tuple[Any, ...] | None) -> Organization | None:
    return Organization(*row) if row else None
