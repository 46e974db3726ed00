"""May the caller do this? The request as IAM sees it, and AWS's words for a refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange
from postroom.api.operation import Caller
from postroom.api.requests import Request
from postroom.policy import iam
from postroom.policy.iam import Decision

RESOURCE_TAG = "aws:resourcetag/"
REQUEST_TAG = "aws:requesttag/"


def circumstances(
    request: Request, caller: Caller, params: Mapping[str, Any], tags: Mapping[str, str], now: float
) -> dict[str, tuple[str, ...]]:
    """Gather the condition keys of a request; `tags` are those of the organization, `now` is in epoch seconds."""
    context: dict[str, tuple[str, ...]] = {
        "aws:sourceip": (request.address,),
        "aws:securetransport": ("true" if request.secure else "false",),
        "aws:currenttime": (_iso(now),),
        "aws:epochtime": (str(int(now)),),
        "aws:userid": (caller.identity.unique,),
        "aws:principalarn": (caller.identity.principal_arn(caller.account),),
        "aws:principalaccount": (caller.account,),
        "aws:principaltype": (caller.identity.kind,),
        "aws:resourceaccount": (caller.account,),
        "aws:requestedregion": (caller.region,),
        "aws:viaawsservice": ("false",),
        "aws:principalisawsservice": ("false",),
        "aws:useragent": (request.headers.get(b"user-agent", b"").decode("latin-1"),),
    }
    if caller.identity.session is None:
        context["aws:username"] = (caller.identity.name,)
    given = {tag["Key"]: tag["Value"] for tag in params.get("Tags", ())}
    context |= _tagged(RESOURCE_TAG, tags) | _tagged(REQUEST_TAG, given)
    names: tuple[str, ...] = (*given, *params.get("TagKeys", ()))
    if names:
        context["aws:tagkeys"] = names
    role = params.get("ImpersonationRoleId")
    if role is not None:
        context["workmail:impersonationroleid"] = (role,)
    return context


def of_exchange(exchange: Exchange, tags: Mapping[str, str], now: float) -> dict[str, tuple[str, ...]]:
    """Gather the condition keys of an exchange, with when its session began."""
    context = circumstances(exchange.request, exchange.by, exchange.params, tags, now)
    if exchange.signer.expires_at is not None:
        context["aws:tokenissuetime"] = (_iso(exchange.signer.issued_at),)
    return context


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _tagged(prefix: str, tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Give tags as condition keys, which have no case: of two names that differ by case alone neither counts, as with AWS."""
    times = Counter(name.lower() for name in tags)
    return {f"{prefix}{name.lower()}": (value,) for name, value in tags.items() if times[name.lower()] == 1}


def require(exchange: Exchange, action: str, resource: str, now: float, tags: Mapping[str, str]) -> None:
    """Raise AccessDeniedException unless the caller's policies allow an action of the exchange's service on a resource with these tags."""
    context = of_exchange(exchange, tags, now) if exchange.signer.policy.contextual else {}
    _require(exchange, f"{exchange.service.name}:{action}", resource, context)


def require_passing(exchange: Exchange, role: str, service: str, now: float) -> None:
    """Raise AccessDeniedException unless the caller may have a service act under a role (IAM: "Granting permissions to pass a role")."""
    context: dict[str, tuple[str, ...]] = {}
    if exchange.signer.policy.contextual:
        context = of_exchange(exchange, {}, now) | {"iam:passedtoservice": (service,)}
    _require(exchange, "iam:PassRole", role, context)


def _require(exchange: Exchange, action: str, resource: str, context: Mapping[str, tuple[str, ...]]) -> None:
    decision = iam.decide(exchange.signer.policy, action, resource, context)
    if not decision.allowed:
        raise refusal(exchange.by, action, resource, decision)


def refusal(caller: Caller, action: str, resource: str, decision: Decision) -> Refusal:
    """Say who may not do what to which resource, and why, as AWS does."""
    kind = "session" if decision.session else "identity-based"
    because = f"because no {kind} policy allows the {action} action"
    if decision.explicit:
        because = "with an explicit deny in an identity-based policy"
    return Refusal("AccessDeniedException", f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} {because}")
