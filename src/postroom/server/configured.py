"""Writes into organizations what the configuration says of their mail, and takes out what it says no more.

Rules and journaling are looked up in the transactions that they decide about, so they stand in the store like those that commands make.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from postroom.directory import organizations
from postroom.model import errors
from postroom.model.organizations import OrganizationStatus
from postroom.policy import flow_rules, journaling
from postroom.policy.flow_rules import Way
from postroom.server.flow_settings import Organization
from postroom.storage.engine import REGISTRY, Store, Tx

NOTHING = Organization()
log = structlog.get_logger("postroom.server")


def apply(store: Store, parts: Mapping[str, Organization]) -> None:
    """Write what the configuration says into the organizations that it names and that are there."""
    if not parts:
        return
    with store.transaction(REGISTRY, write=False) as tx:
        active = [one for one in organizations.page(tx, after=0, limit=10_000) if one.state == OrganizationStatus.ACTIVE]
    numbers = {one.alias: one.number for one in active}
    for name, part in parts.items():
        if name in numbers:
            _write(store, numbers[name], part)
        else:
            log.warning("organization_of_the_configuration_not_here", organization=name)


def work(parts: Mapping[str, Organization]) -> Callable[[Store, int], int]:
    """Give the work of seeing that an organization says what the configuration says; counts the organizations that had to be changed."""

    def run(store: Store, scope: int) -> int:
        with store.transaction(REGISTRY, write=False) as tx:
            found = organizations.find_by_number(tx, scope)
        return _write(store, scope, parts.get(found.alias, NOTHING) if found else NOTHING)

    return run


def _write(store: Store, scope: int, part: Organization) -> int:
    with store.transaction(scope, write=False) as tx:
        if _stands(tx, part):
            return 0
    try:
        with store.transaction(scope) as tx:
            changed = flow_rules.configure(tx, part.rules())
            changed = journaling.configure(tx, part.journaling()) or changed
    except errors.DomainNotFound as error:
        log.warning("configuration_not_applied", scope=scope, reason=error.text)
        return 0
    log.info("configuration_applied", scope=scope)
    return int(changed)


def _stands(tx: Tx, part: Organization) -> bool:
    """Say whether an organization does what its part of the configuration says."""
    there = [rule for way in Way for rule in flow_rules.page(tx, way) if rule.configured]
    found = journaling.find(tx)
    records = (found.journal, found.report) if found and found.configured else None
    return {replace(rule, configured=True) for rule in part.rules()} == set(there) and records == part.journaling()
