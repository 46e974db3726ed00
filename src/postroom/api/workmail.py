"""WorkMail itself: permission on the organization a request names, and the operation in that organization."""

from __future__ import annotations

from collections.abc import Mapping

from postroom.api import client_tokens, execution, operations, paging, permission, tenants
from postroom.api.exchange import Exchange, Form
from postroom.api.execution import Order
from postroom.api.forms.json import JsonForm
from postroom.api.model import WORKMAIL, load
from postroom.api.operation import FIRST_PAGE, OPERATIONS, Answer, Operation
from postroom.api.settings import Settings
from postroom.api.tenants import Tenants
from postroom.model.errors import OrganizationNotFound
from postroom.storage.engine import Store


class WorkMail:
    """The administration API of mail."""

    def __init__(self, store: Store, settings: Settings, tenants_: Tenants, page_secret: bytes) -> None:
        operations.enter_all()
        self.name = WORKMAIL
        self.model = load()
        self.operations: Mapping[str, Operation] = OPERATIONS
        self.form: Form = JsonForm(self.model, OPERATIONS, tenants.NAMING)
        self._store = store
        self._settings = settings
        self._tenants = tenants_
        self._page_secret = page_secret

    async def permit(self, exchange: Exchange) -> None:
        """Raise AccessDeniedException unless the caller's policy allows the operation on the organization, and the role it names."""
        organization_id = exchange.organization = tenants.named(exchange.params)
        resource = exchange.by.organization_arn(organization_id) if organization_id else "*"
        policy, now, known = exchange.signer.policy, 0.0, NO_TAGS
        if policy.contextual:
            now = self._store.now()
            if organization_id and policy.looks_at(permission.RESOURCE_TAG):
                known = await self._tenants.tags(organization_id)
        permission.require(exchange, exchange.name, resource, now, known)
        role = exchange.params.get("RoleArn")
        if isinstance(role, str):  # what else stands there is refused for its form
            permission.require_passing(exchange, role, ASSUMED_BY[exchange.name], now)

    async def perform(self, exchange: Exchange) -> Answer:
        """Carry the operation out, in its turn, and forget what it may have changed."""
        operation, caller, params = exchange.operation, exchange.by, exchange.params
        model = self.model.operations[operation.name]
        async with self._tenants.turn(operation, params):
            found = await self._tenants.serving(operation, model, caller, params)
            context = f"{operation.name} {found.id}"
            page = paging.request(self._page_secret, context, params) if model.paged else FIRST_PAGE
            token = client_tokens.of(caller.account, operation.name, params) if model.idempotent else None
            order = Order(operation, caller, found, params, self._settings.facilities, page, token)
            try:
                answer = await execution.execute(self._store, order)
            except OrganizationNotFound:
                self._tenants.forget()
                await self._tenants.serving(operation, model, caller, params)  # one deleted meanwhile is refused for its state
                raise
            finally:
                self._tenants.changed_by(operation)
        if operation.writes and not exchange.organization:
            exchange.organization = answer.get("OrganizationId", "")
        mark = answer.get("NextToken")
        if isinstance(mark, paging.Mark):
            answer["NextToken"] = paging.seal(self._page_secret, context, params, mark)
        return answer


NO_TAGS: Mapping[str, str] = {}
ASSUMED_BY = {"PutEmailMonitoringConfiguration": "events.workmail.amazonaws.com", "StartMailboxExportJob": "export.workmail.amazonaws.com"}
"""The part of WorkMail that acts under the role an operation names (`iam:PassedToService`)."""
