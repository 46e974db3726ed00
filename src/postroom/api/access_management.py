"""IAM as a service of the endpoint: permission on the user or role that a request names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postroom.api import execution, paging, permission
from postroom.api.callers import Signers
from postroom.api.exchange import Exchange, Form
from postroom.api.execution import Order
from postroom.api.forms.query import QueryForm
from postroom.api.iam import access_keys, policies, roles, users  # noqa: F401  their operations are entered
from postroom.api.iam.entry import IAM
from postroom.api.model import load
from postroom.api.operation import FIRST_PAGE, NO_ORGANIZATION, SERVICES, Answer, Caller, Operation
from postroom.api.settings import Settings
from postroom.directory import principals
from postroom.directory import roles as role_directory
from postroom.model.principals import role_arn, user_arn
from postroom.storage.engine import REGISTRY, Store, Tx


class Iam:
    """Users, access keys, roles and inline policies of this server."""

    def __init__(self, store: Store, settings: Settings, signers: Signers, page_secret: bytes) -> None:
        self.name = IAM
        self.model = load(IAM)
        self.operations: Mapping[str, Operation] = SERVICES[IAM]
        self.form: Form = QueryForm(self.model, self.operations)
        self._store = store
        self._settings = settings
        self._signers = signers
        self._page_secret = page_secret

    async def permit(self, exchange: Exchange) -> None:
        """Raise AccessDenied unless the caller's policies allow the operation on what it is about."""
        resource = await self._store.look(REGISTRY, resource_of, exchange.by, exchange.name, exchange.params)
        permission.require(exchange, exchange.name, resource, self._store.now(), {})

    async def perform(self, exchange: Exchange) -> Answer:
        """Carry the operation out; what it changes is in force at once."""
        paged, asked = self.model.operations[exchange.name].paged, _asked(exchange.params)
        page = paging.request(self._page_secret, exchange.name, asked) if paged else FIRST_PAGE
        order = Order(exchange.operation, exchange.by, NO_ORGANIZATION, exchange.params, self._settings.facilities, page)
        try:
            answer = await execution.execute(self._store, order)
        finally:
            if exchange.operation.writes:
                self._signers.forget()
        mark = answer.pop("NextToken", None)
        if isinstance(mark, paging.Mark):
            answer["Marker"] = paging.seal(self._page_secret, exchange.name, asked, mark)
        return answer


def _asked(params: Mapping[str, Any]) -> dict[str, Any]:
    """Rename what asks for a page as the other services call it."""
    names = {"Marker": "NextToken", "MaxItems": "MaxResults"}
    return {names.get(name, name): value for name, value in params.items()}


def resource_of(tx: Tx, caller: Caller, operation: str, params: Mapping[str, Any]) -> str:
    """Name what an operation is about, as policies do: a user or role with its path, found or to be made, or all below a path. Registry."""
    account, below = caller.account, params.get("PathPrefix", "/")
    if operation == "ListUsers":
        return user_arn(account, below, "")
    if operation == "ListRoles":
        return role_arn(account, below, "")
    if "RoleName" in params:
        role = role_directory.find(tx, params["RoleName"])
        return role_arn(account, params.get("Path", "/") if role is None else role.path, params["RoleName"])
    if operation == "GetAccessKeyLastUsed":
        key = principals.find(tx, params.get("AccessKeyId", ""))
        return "*" if key is None else _user(tx, account, key.name, params)
    if "UserName" not in params and caller.identity.session is not None:
        return "*"
    return _user(tx, account, params.get("UserName", caller.identity.name), params)


def _user(tx: Tx, account: str, name: str, params: Mapping[str, Any]) -> str:
    user = principals.find_user(tx, name)
    return user_arn(account, params.get("Path", "/") if user is None else user.path, name)
