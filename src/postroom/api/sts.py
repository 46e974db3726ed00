"""STS: who the caller is, and temporary credentials of a role.

To assume a role takes the role's trust and, unless the caller is named there in person, the caller's own permission
(`policy.iam.trust`).  A role that does not exist and one that does not trust the caller read the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from postroom.api import execution, permission
from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange, Form
from postroom.api.execution import Order
from postroom.api.forms.query import QueryForm
from postroom.api.iam import entry
from postroom.api.model import load
from postroom.api.operation import NO_ORGANIZATION, SERVICES, Answer, Call, Operation, Scope, operation
from postroom.api.settings import Settings
from postroom.directory import roles
from postroom.model.errors import InvalidParameter
from postroom.model.principals import Role, role_arn
from postroom.policy import iam
from postroom.policy.iam import trust
from postroom.policy.iam.trust import Trust
from postroom.storage.engine import REGISTRY, Store, Tx

STS = "sts"
LONGEST_SESSION_POLICY = 2048
CHAINED_SECONDS = 3600
"""The longest session that a session can begin."""


class Sts:
    """Temporary credentials."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.name = STS
        self.model = load(STS)
        self.operations: Mapping[str, Operation] = SERVICES[STS]
        self.form: Form = QueryForm(self.model, self.operations)
        self._store = store
        self._settings = settings

    async def permit(self, exchange: Exchange) -> None:
        """Raise AccessDenied unless the caller may assume the role; who one is may everybody ask."""
        if exchange.name == "AssumeRole":
            arn = exchange.params.get("RoleArn", "")
            role = await self._store.look(REGISTRY, _find, exchange.by.account, arn)
            _require(exchange, role, arn, self._store.now())

    async def perform(self, exchange: Exchange) -> Answer:
        """Carry the operation out, as long as it is permitted still."""
        judge = partial(_require, exchange)
        order = Order(exchange.operation, exchange.by, NO_ORGANIZATION, exchange.params, self._settings.facilities, prior=judge)
        return await execution.execute(self._store, order)


@operation("GetCallerIdentity", scope=Scope.REGISTRY, service=STS)
def get_caller_identity(call: Call) -> Answer:
    """Tell the caller who they are."""
    return {"UserId": call.caller.identity.unique, "Account": call.caller.account, "Arn": call.caller.arn}


@operation("AssumeRole", scope=Scope.REGISTRY, service=STS)
def assume_role(call: Call) -> Answer:
    """Begin a session of a role."""
    params = call.params
    entry.refuse(params, "PolicyArns", "Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts")
    role = call.prior(_find(call.tx, call.caller.account, params["RoleArn"]), params["RoleArn"], call.tx.now)
    policy = params.get("Policy")
    if policy is not None:
        _require_sound(policy)
    seconds = params.get("DurationSeconds", roles.SESSION_SECONDS)
    _require_short(call, role, seconds)
    session = roles.begin_session(call.tx, role, name=params["RoleSessionName"], seconds=seconds, policy=policy)
    credentials = {
        "AccessKeyId": session.id,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": session.expires_at,
    }
    arn = f"arn:aws:sts::{call.caller.account}:assumed-role/{role.name}/{session.name}"
    return {"Credentials": credentials, "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{session.name}", "Arn": arn}}


def _find(tx: Tx, account: str, arn: str) -> Role | None:
    """Find the role that an ARN names exactly."""
    role = roles.find(tx, arn.rpartition("/")[2])
    return role if role is not None and role_arn(account, role.path, role.name) == arn else None


def _require(exchange: Exchange, role: Role | None, arn: str, now: float) -> Role:
    """Give the role; raises AccessDenied unless there is one, and it trusts the caller far enough."""
    context = _circumstances(exchange, now)
    level = Trust.NOBODY if role is None else _trust(exchange, role, context)
    own = iam.decide(exchange.signer.policy, "sts:AssumeRole", arn, context)
    limit = exchange.signer.policy.within
    sufficient = {
        Trust.ACCOUNT: own.allowed,
        Trust.ROLE: limit is None or iam.decide(limit, "sts:AssumeRole", arn, context).allowed,
        Trust.SESSION: True,
    }
    if role is None or own.explicit or not sufficient.get(level, False):
        raise permission.refusal(exchange.by, "sts:AssumeRole", arn, own if own.explicit or own.session else iam.DENIED)
    return role


def _trust(exchange: Exchange, role: Role, context: Mapping[str, tuple[str, ...]]) -> Trust:
    caller = trust.Caller(exchange.by.account, exchange.by.identity)
    return trust.decide(trust.parse(role.trust), msgspec.json.decode(role.trusted), caller, "sts:AssumeRole", context)


def _circumstances(exchange: Exchange, now: float) -> dict[str, tuple[str, ...]]:
    context = permission.of_exchange(exchange, {}, now)
    for name, key in (("ExternalId", "sts:externalid"), ("RoleSessionName", "sts:rolesessionname")):
        if name in exchange.params:
            context[key] = (exchange.params[name],)
    return context


def _require_sound(policy: str) -> None:
    """Refuse a session policy that is too long or malformed."""
    if len(policy) > LONGEST_SESSION_POLICY:
        raise Refusal("PackedPolicyTooLarge", f"The session policy is longer than {LONGEST_SESSION_POLICY} characters.")
    iam.parse(policy)
    iam.require_unambiguous(policy)


def _require_short(call: Call, role: Role, seconds: int) -> None:
    """Refuse a session longer than the role allows, or than one session may begin."""
    if seconds > role.session_seconds:
        raise InvalidParameter("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    if call.caller.identity.session is not None and seconds > CHAINED_SECONDS:
        raise InvalidParameter("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
