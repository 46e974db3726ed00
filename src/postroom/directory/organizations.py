"""Organizations: made, found, deleted.

Making one crosses two scopes, and a transaction never does, so it goes in steps that can each be taken up again: a data key from the key
provider, a row in state Creating with the claim of the test domain, the organization's own first rows, state Active.  Deleting one
gives up its claims, lets others have what it has under way for them, and shreds the wrapped key, which is what makes its data
unreadable; removing the files only tidies up.  `recover` finishes what a dead program left halfway.

A deleted organization stays in the registry, described and listed as Deleted; its alias is free again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from postroom.directory import domains, outside
from postroom.model import errors, ids
from postroom.model.entities import Kind, State
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import access_rules, device_rules, entities, organizations
from postroom.storage.queries import domains as domain_rows
from postroom.storage.queries.entities import Prefix

log = structlog.get_logger("postroom.directory")

DIRECTORY_TYPE = "VpcDirectory"
TEST_SUFFIX = "postroom.test"



@dataclass(frozen=True, slots=True)
class Outside:
    """The outside directory that a new organization is to have; `type` is what DescribeOrganization calls it."""

    id: str
    type: str
    interoperability: bool = False


Decided = Callable[[Tx, Organization], None]
"""Told in the registry transaction that decides, so that what it writes there stands or falls with the decision."""

Settled = Callable[[Store, int], None]
"""Told the storage scope of an organization that is being deleted, while it can still be read; what it raises leaves the organization
Deleting, with its key, until `recover` takes it up again."""


def create(
    store: Store,
    *,
    alias: str,
    key_arn: str | None = None,
    mail_domains: Sequence[str] = (),
    zones: Mapping[str, str] | None = None,
    trusted: bool = False,
    test_suffix: str = TEST_SUFFIX,
    directory: Outside | None = None,
    decided: Decided = lambda tx, organization: None,
) -> Organization:
    """Make an organization with its test domain `<alias>.<test_suffix>`; raises NameTaken, and DirectoryInUse for an outside `directory`
    that another one has (WorkMail API: CreateOrganization).

    `mail_domains` are claimed with it and, when `trusted`, taken as verified; `zones` are the hosted zones of some of them.  Not to
    be called inside a transaction.
    """
    key = store.keys.new_data_key(key_arn)
    with store.transaction(REGISTRY) as tx:
        planned = _plan(tx, alias, key_arn, test_suffix, directory)
        organizations.insert(tx, planned, key.wrapped)
        domains.claim(tx, planned.default_domain, planned.number, verified=True)
        for name in mail_domains:
            zone = (zones or {}).get(name)
            domains.claim(tx, name, planned.number, verified=trusted, test_suffix=test_suffix, zone=zone)
        decided(tx, planned)
    return _complete(store, planned)


def delete(
    store: Store,
    organization: Organization,
    *,
    force: bool,
    decided: Decided = lambda tx, organization: None,
    settled: Settled = lambda store, scope: None,
) -> Organization:
    """Delete an organization and all it holds; raises OrganizationState while it is being made or,
    unless forced, while users are enabled.

    Not to be called inside a transaction (WorkMail API: DeleteOrganization).
    """
    if organization.state == OrganizationStatus.ACTIVE and not force:
        with store.transaction(organization.number, write=False) as tx:
            _require_no_enabled_users(tx)
    with store.transaction(REGISTRY) as tx:
        found = organizations.get(tx, organization.id)
        if found.state == OrganizationStatus.CREATING:
            raise errors.OrganizationState(f"The organization {found.id} is still being made.")
        if found.state != OrganizationStatus.DELETED:
            organizations.set_state(tx, found.number, OrganizationStatus.DELETING)
            organizations.delete_claims(tx, found.number)
        decided(tx, found)
    return _bury(store, organization, settled) if found.state != OrganizationStatus.DELETED else found


def recover(store: Store, settled: Settled = lambda store, scope: None) -> None:
    """Finish what was begun: organizations left in state Creating or Deleting by a program that died.

    One that cannot be finished stays as it is and keeps nobody else from being served.
    """
    with store.transaction(REGISTRY, write=False) as tx:
        begun = [*organizations.in_state(tx, OrganizationStatus.CREATING), *organizations.in_state(tx, OrganizationStatus.DELETING)]
    for organization in begun:
        try:
            if organization.state == OrganizationStatus.CREATING:
                _complete(store, organization)
            else:
                _bury(store, organization, settled)
        except Exception:
            log.exception("organization_not_recovered", organization=organization.id, state=organization.state)


def get(tx: Tx, organization_id: str) -> Organization:
    """Get an organization in whatever state; raises OrganizationNotFound. Registry."""
    return organizations.get(tx, organization_id)


def find_by_number(tx: Tx, number: int) -> Organization | None:
    """Find an organization by its storage scope. Registry."""
    return organizations.find_by_number(tx, number)


def find_by_directory(tx: Tx, directory_id: str) -> Organization | None:
    """Find the organization that has a directory. Registry."""
    return organizations.find_by_directory(tx, directory_id)


def page(tx: Tx, *, after: int, limit: int) -> list[Organization]:
    """List organizations in the order of their making, behind a number (WorkMail API: ListOrganizations). Registry."""
    return organizations.page(tx, after, limit)


def require_active(organization: Organization) -> None:
    """Raise OrganizationState unless the organization is Active."""
    if organization.state != OrganizationStatus.ACTIVE:
        raise errors.OrganizationState(f"The organization {organization.id} is in the state {organization.state}.")


def require_free_directory(tx: Tx, directory_id: str) -> None:
    """Raise DirectoryInUse for a directory that an organization has. Registry."""
    if organizations.find_by_directory(tx, directory_id) is not None:
        raise errors.DirectoryInUse(f"The directory {directory_id} belongs to another organization.")


def _plan(tx: Tx, alias: str, key_arn: str | None, test_suffix: str, directory: Outside | None) -> Organization:
    test_domain = domains.host_name(f"{alias}.{test_suffix}")
    if organizations.find_by_alias(tx, alias) is not None or organizations.find_claim(tx, test_domain) is not None:
        raise errors.NameTaken(f"The alias {alias} is already in use.")
    if directory is not None:
        require_free_directory(tx, directory.id)
    return Organization(
        number=organizations.next_number(tx),
        id=ids.new_organization_id(),
        alias=alias,
        state=OrganizationStatus.CREATING,
        directory_id=directory.id if directory else ids.new_directory_id(),
        directory_type=directory.type if directory else DIRECTORY_TYPE,
        default_domain=test_domain,
        key_arn=key_arn,
        created_at=tx.now,
        interoperability=directory is not None and directory.interoperability,
    )


def _complete(store: Store, organization: Organization) -> Organization:
    """Write the organization's first rows, then call it Active."""
    with store.transaction(REGISTRY, write=False) as tx:
        claims = organizations.claims(tx, organization.number)
    with store.transaction(organization.number) as tx:
        _furnish(tx, organization, claims)
    with store.transaction(REGISTRY) as tx:
        organizations.set_state(tx, organization.number, OrganizationStatus.ACTIVE, completed_at=tx.now)
        return organizations.get(tx, organization.id)


def _furnish(tx: Tx, organization: Organization, claims: Sequence[tuple[str, bool, str | None]]) -> None:
    if domain_rows.find(tx, organization.default_domain) is not None:
        return
    domains.create_test_domain(tx, organization.default_domain)
    access_rules.insert_default(tx)
    device_rules.insert_default(tx)
    if organization.directory_type != DIRECTORY_TYPE:
        outside.attach(tx, organization.directory_id)
    for name, verified, zone in claims:
        domains.register(tx, name, verified=verified, zone=zone)


def _bury(store: Store, organization: Organization, settled: Settled) -> Organization:
    """Shred the key and remove the files, then call it Deleted."""
    settled(store, organization.number)
    with store.transaction(REGISTRY) as tx:
        organizations.shred_key(tx, organization.number)
    store.destroy(organization.number)
    with store.transaction(REGISTRY) as tx:
        organizations.set_state(tx, organization.number, OrganizationStatus.DELETED, deleted_at=tx.now)
        return organizations.get(tx, organization.id)


def _require_no_enabled_users(tx: Tx) -> None:
    enabled = Prefix("state", State.ENABLED.value)
    if entities.page(tx, Kind.USER, where=enabled, after=None, limit=1):
        raise errors.OrganizationState("The organization has enabled users; disable them or force the deletion.")
