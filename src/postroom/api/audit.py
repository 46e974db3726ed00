"""The record of an API call: who asked what of which service, from where, and what came of it, in the form of a CloudTrail event.

Parameters are shown as CloudTrail shows them, their names beginning in lower case, and what the model or `SECRET` calls secret replaced
by a word. Answers are shown of operations that change something. A caller whose signature was refused is unknown; what such a request
says in its body is nobody's word and is left out.

CloudTrail user guide: record contents
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from postroom.api import sigv4
from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange
from postroom.api.model import Shape
from postroom.api.operation import Caller
from postroom.api.requests import new_id

SECRET = frozenset(
    {
        "Authorization",
        "EwsPassword",
        "NewPassword",
        "OldPassword",
        "Password",
        "SAMLAssertion",
        "SecretAccessKey",
        "SessionToken",
        "Token",
        "TokenCode",
        "WebIdentityToken",
    }
)
"""Members that are secret whatever the model says."""
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
MOST_BYTES = 100_000
"""Parameters or answers longer than this are left out, and their length given instead (CloudTrail does so too)."""
MOST_TEXT = 1024
SOURCES = {"workmailmessageflow": "workmailMessageFlow.amazonaws.com"}

Show = Callable[[Any], Any]


class Audit(Protocol):
    """Where the gateway tells of calls that are over."""

    def note(self, exchange: Exchange) -> None:
        """Take a call, without waiting."""

    @property
    def crowded(self) -> bool:
        """Say whether so many calls wait to be written that answers should wait too."""

    async def room(self) -> None:
        """Wait until it is less crowded, for some seconds at the most."""


def record(exchange: Exchange, at: float, region: str, account: str) -> bytes:
    """Write the record of a call that ended at a time, epoch seconds, as one line of JSON."""
    request, name = exchange.request, exchange.name
    known = exchange.service.operations.get(name)
    model = exchange.service.model.operations.get(name)
    entry: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": _identity(exchange, account),
        "eventTime": _moment(int(at)),
        "eventSource": SOURCES.get(exchange.service.name, f"{exchange.service.name}.amazonaws.com"),
        "eventName": name or "Unknown",
        "awsRegion": region,
        "sourceIPAddress": request.address,
        "userAgent": request.headers.get(b"user-agent", b"").decode("latin-1")[:MOST_TEXT],
    }
    if exchange.code:
        entry |= {"errorCode": exchange.code, "errorMessage": exchange.text[:MOST_TEXT]}
    if exchange.organization:
        arn = f"arn:aws:workmail:{region}:{account}:organization/{exchange.organization[:MOST_TEXT]}"
        entry["resources"] = [{"accountId": account, "type": "AWS::WorkMail::Organization", "ARN": arn}]
    omitted: dict[str, int] = {}
    asked = model and exchange.caller and exchange.params and shown(model.input)(exchange.params)
    entry["requestParameters"] = _bounded("requestParameters", asked or None, omitted)
    answered = model and model.output and known and known.writes and exchange.answer and shown(model.output)(exchange.answer)
    entry["responseElements"] = _bounded("responseElements", answered or None, omitted)
    if omitted:
        entry["additionalEventData"] = {"omittedBytes": omitted}
    entry |= {
        "requestID": request.id,
        "eventID": new_id(),
        "readOnly": not (known is None or known.writes),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }
    return msgspec.json.encode(entry, enc_hook=str)


@lru_cache(maxsize=1024)
def shown(shape: Shape) -> Show:
    """Give the function that shows a value of a structure."""
    members: dict[str, tuple[str, Show | None]] = {
        member.name: (_lower(member.name), _hidden if _is_secret(member.name, member.shape) else _show(member.shape))
        for member in shape.members
    }

    def show(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return None
        found = ((members[name], entry) for name, entry in value.items() if name in members)
        return {lower: entry if one is None else one(entry) for (lower, one), entry in found}

    return show


def _show(shape: Shape) -> Show | None:
    """Give the function that shows a value; None for one that is shown as it is."""
    if shape.kind == "structure":
        return shown(shape)
    if shape.kind == "list" and shape.member is not None:
        one = _hidden if shape.member.sensitive else _show(shape.member)
        return None if one is None else lambda value: [one(entry) for entry in value or ()]
    return None


def _is_secret(name: str, shape: Shape) -> bool:
    return shape.sensitive or name in SECRET


def _hidden(_: Any) -> str:
    return HIDDEN


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _bounded(name: str, value: Any, omitted: dict[str, int]) -> msgspec.Raw | None:
    """Encode a part of a record, unless it is too long."""
    if value is None:
        return None
    octets = msgspec.json.encode(value, enc_hook=str)
    if len(octets) <= MOST_BYTES:
        return msgspec.Raw(octets)
    omitted[name] = len(octets)
    return None


def _identity(exchange: Exchange, account: str) -> msgspec.Raw:
    if exchange.caller is not None:
        return _known(exchange.caller)
    try:
        claimed = sigv4.read(exchange.request.headers).credential.key_id[:128]
    except Refusal:
        claimed = ""
    return msgspec.Raw(msgspec.json.encode({"type": "Unknown", "accountId": account} | ({"accessKeyId": claimed} if claimed else {})))


@lru_cache(maxsize=1024)
def _known(caller: Caller) -> msgspec.Raw:
    identity = caller.identity
    shown: dict[str, Any] = {
        "type": "IAMUser",
        "principalId": identity.unique,
        "arn": caller.arn,
        "accountId": caller.account,
        "accessKeyId": caller.key_id,
    }
    if identity.session is None:
        shown["userName"] = identity.name
    else:
        role = {"type": "Role", "principalId": identity.id, "arn": identity.principal_arn(caller.account), "accountId": caller.account}
        shown |= {"type": "AssumedRole", "sessionContext": {"sessionIssuer": role | {"userName": identity.name}}}
    return msgspec.Raw(msgspec.json.encode(shown))


@lru_cache(maxsize=16)
def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
