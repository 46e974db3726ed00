"""WorkMail Message Flow: permission on the letter that an id names, in the organization that the id leads to."""

from __future__ import annotations

from collections.abc import Mapping

from postroom.api import execution, permission
from postroom.api.exchange import Exchange, Form
from postroom.api.execution import Order
from postroom.api.forms.rest import RestForm
from postroom.api.model import MESSAGE_FLOW, load
from postroom.api.operation import NO_ORGANIZATION, SERVICES, Answer, Caller, Operation
from postroom.api.settings import Settings
from postroom.directory import organizations
from postroom.mailflow import flow
from postroom.model.errors import ItemNotFound, OrganizationNotFound
from postroom.model.organizations import Organization, OrganizationStatus
from postroom.storage.engine import REGISTRY, Store

STATUSES = {"ResourceNotFoundException": 404}


class MessageFlow:
    """Letters that came in or went out within a day."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.name = MESSAGE_FLOW
        self.model = load(MESSAGE_FLOW)
        self.operations: Mapping[str, Operation] = SERVICES[MESSAGE_FLOW]
        self.form: Form = RestForm(self.model, self.operations, STATUSES)
        self._store = store
        self._facilities = settings.facilities

    async def permit(self, exchange: Exchange) -> None:
        """Raise AccessDeniedException unless the caller's policy allows the operation on the letter; where there is none, on any."""
        identifier = exchange.params.get("messageId", "")
        organization, direction = await self._find(identifier)
        exchange.organization = organization.id
        resource = _arn(exchange.by, organization.id or "*", direction or "*", identifier)
        permission.require(exchange, exchange.name, resource, self._store.now(), {})

    async def perform(self, exchange: Exchange) -> Answer:
        """Carry the operation out; raises ItemNotFound for a letter there is not."""
        organization, direction = await self._find(exchange.params["messageId"])
        if not direction:
            raise ItemNotFound("The requested email message is not found.")
        return await execution.execute(self._store, Order(exchange.operation, exchange.by, organization, exchange.params, self._facilities))

    async def _find(self, identifier: str) -> tuple[Organization, str]:
        """Find whose letter it is and which way it went; nobody's and '' for none."""
        place = flow.place(identifier)
        if place is None or not self._facilities.message_flow or place.scope == REGISTRY:
            return NO_ORGANIZATION, ""
        found = await self._store.look(REGISTRY, organizations.find_by_number, place.scope)
        if found is None or found.state != OrganizationStatus.ACTIVE:
            return NO_ORGANIZATION, ""
        try:
            message = await self._store.look(found.number, flow.get, identifier)
        except (ItemNotFound, OrganizationNotFound):
            return NO_ORGANIZATION, ""
        return found, message.direction.value


def _arn(caller: Caller, organization_id: str, direction: str, identifier: str) -> str:
    """Name a letter as AWS does."""
    return f"arn:aws:workmailmessageflow:{caller.region}:{caller.account}:message/{organization_id}/{direction}/{identifier}"
