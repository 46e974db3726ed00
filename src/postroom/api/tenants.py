"""The organization a request names: found, in a state to be served, with its tags."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any
from weakref import WeakValueDictionary

from postroom.api import errors
from postroom.api.caching import Recent
from postroom.api.model import OperationModel
from postroom.api.operation import NO_ORGANIZATION, Caller, Operation, Scope
from postroom.directory import organizations, tags
from postroom.model.errors import OrganizationNotFound, OrganizationState, ResourceNotFound, TryLater
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import leases

NAMING = frozenset({"OrganizationId", "ResourceARN"})
"""The members of a request that name an organization."""
TURN_SECONDS = 30.0
"""How long other processes wait for one that died in its turn."""


def named(params: Mapping[str, Any]) -> str:
    """Find the id of the organization that a request names, itself or as an ARN; else it is empty."""
    identifier: str = params.get("OrganizationId") or params.get("ResourceARN", "").partition(":organization/")[2]
    return identifier


class Tenants:
    """Finds organizations, remembering them for a moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: Recent[str, Organization] = Recent()
        self._tags: Recent[int, dict[str, str]] = Recent()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, operation: Operation, params: Mapping[str, Any]) -> AbstractAsyncContextManager[None]:
        """Wait, before an operation that changes what the registry knows of an organization, until no other one does.

        Between its steps, which are transactions of their own, the registry and the organization do not agree.  Raises TryLater while
        another process has its turn.
        """
        organization_id = named(params)
        return self._alone(organization_id) if operation.touches_registry and organization_id else nullcontext()

    @asynccontextmanager
    async def _alone(self, organization_id: str) -> AsyncIterator[None]:
        lease, holder = f"organization/{organization_id}", leases.holder()
        async with self._turns.setdefault(organization_id, asyncio.Lock()):
            if not await self._store.transact(REGISTRY, leases.take, lease, holder, TURN_SECONDS):
                raise TryLater("The organization is being changed elsewhere; try again.")
            self._recent.forget()
            try:
                yield
            finally:
                await self._store.transact(REGISTRY, leases.release, lease, holder)

    async def serving(self, operation: Operation, model: OperationModel, caller: Caller, params: Mapping[str, Any]) -> Organization:
        """Find the organization an operation is about, in a state in which it may be.

        Operations that know organizations only as ARNs declare neither of their errors: to them there is no such resource.
        """
        if operation.scope is Scope.REGISTRY or not model.inputs & NAMING:
            return NO_ORGANIZATION
        organization_id, arn = named(params), params.get("ResourceARN")
        if arn is not None and arn != caller.organization_arn(organization_id):
            raise ResourceNotFound(f"The resource {arn} does not exist.")
        try:
            found = await self._find(organization_id)
            if not operation.any_state:
                organizations.require_active(found)
            return found
        except (OrganizationNotFound, OrganizationState) as error:
            if errors.code_of(error) in model.errors:
                raise
            raise ResourceNotFound(f"The resource {arn} does not exist.") from None

    async def tags(self, organization_id: str) -> dict[str, str]:
        """Read the tags of an organization, if there is one that has any."""
        try:
            found = await self._find(organization_id)
            if found.state != OrganizationStatus.ACTIVE:
                return {}
            known = self._tags.find(found.number)
            if known is None:
                generation = self._tags.generation
                known = await self._store.look(found.number, tags.page)
                self._tags.put(found.number, known, generation)
            return known
        except OrganizationNotFound:
            return {}

    def changed_by(self, operation: Operation) -> None:
        """Forget what an operation may have changed."""
        if operation.touches_registry:
            self._recent.forget()
        if operation.writes:
            self._tags.forget()

    def forget(self) -> None:
        """Read everything anew."""
        self._recent.forget()
        self._tags.forget()

    async def _find(self, organization_id: str) -> Organization:
        found = self._recent.find(organization_id)
        if found is None:
            generation = self._recent.generation
            found = await self._store.look(REGISTRY, organizations.get, organization_id)
            self._recent.put(organization_id, found, generation)
        return found
