"""The record of an API call: who asked what of which service, from where, and what came of it, in the form of a CloudTrail event.

Parameters are shown as CloudTrail shows them, their names beginning in lower case, and what the model or `SECRET` calls secret replaced
by a word. Answers are shown of operations that change something. A caller whose signature was refused is unknown; what such a request
says in its body is nobody's word and is left out.

CloudTrail user guide: record contents
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Protocol

import msgspec

from postroom.api import sigv4
from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange
from postroom.api.model import Shape, load
from postroom.api.operation import SERVICES, Caller
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
"""Of a longer record the long parameters and parts of the answer are left out (CloudTrail: all, even whom a padded one is about)."""
MOST_TEXT = 1024
"""Of a text that is nobody's parameter, and of a parameter in a record that would be too long."""
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


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """A record with its fields in the order of CloudTrail's."""

    event_version: str = "1.11"
    user_identity: msgspec.Raw
    event_time: str
    event_source: str
    event_name: str
    aws_region: str
    source_ip: str = msgspec.field(name="sourceIPAddress")
    user_agent: str
    error_code: str | msgspec.UnsetType
    error_message: str | msgspec.UnsetType
    resources: list[dict[str, str]] | msgspec.UnsetType
    request_parameters: Any
    response_elements: Any
    additional_event_data: dict[str, dict[str, int]] | msgspec.UnsetType
    request_id: str = msgspec.field(name="requestID")
    event_id: str = msgspec.field(name="eventID")
    read_only: bool
    event_type: str = "AwsApiCall"
    management_event: bool = True
    recipient_account_id: str
    event_category: str = "Management"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the records of one operation have in common."""

    source: str
    name: str
    reads: bool
    asked: Show
    answered: Show


def record(exchange: Exchange, at: float, region: str, account: str) -> bytes:
    """Write the record of a call that ended at a time, epoch seconds, as one line of JSON."""
    request, kind, failed = exchange.request, _kind(exchange.service.name, exchange.name), bool(exchange.code)
    asked = kind.asked(exchange.params) if exchange.params and exchange.caller else None
    answered = kind.answered(exchange.answer) if exchange.answer and not kind.reads else None
    made = Record(
        user_identity=_identity(exchange, account),
        event_time=_moment(int(at)),
        event_source=kind.source,
        event_name=kind.name,
        aws_region=region,
        source_ip=request.address,
        user_agent=request.headers.get(b"user-agent", b"").decode("latin-1")[:MOST_TEXT],
        error_code=exchange.code if failed else msgspec.UNSET,
        error_message=exchange.text[:MOST_TEXT] if failed else msgspec.UNSET,
        resources=_resources(exchange, region, account),
        request_parameters=asked or None,
        response_elements=answered or None,
        additional_event_data=msgspec.UNSET,
        request_id=request.id,
        event_id=new_id(),
        read_only=kind.reads,
        recipient_account_id=account,
    )
    line = _ENCODER.encode(made)
    return line if len(line) <= MOST_BYTES else _ENCODER.encode(_shortened(made))


_ENCODER = msgspec.json.Encoder(enc_hook=str)


@cache
def _kind(service: str, name: str) -> _Kind:
    """Find what an operation's records have in common; name and service are from small sets."""
    entry, model = SERVICES.get(service, {}).get(name), load(service).operations.get(name)
    nothing: Show = lambda _: None  # noqa: E731
    return _Kind(
        SOURCES.get(service, f"{service}.amazonaws.com"),
        name or "Unknown",
        entry is not None and not entry.writes,
        shown(model.input) if model else nothing,
        shown(model.output) if model and model.output else nothing,
    )


def _resources(exchange: Exchange, region: str, account: str) -> list[dict[str, str]] | msgspec.UnsetType:
    """Name the organization that a call was about."""
    if not exchange.organization:
        return msgspec.UNSET
    arn = f"arn:aws:workmail:{region}:{account}:organization/{exchange.organization[:MOST_TEXT]}"
    return [{"accountId": account, "type": "AWS::WorkMail::Organization", "ARN": arn}]


def _shortened(made: Record) -> Record:
    """Leave the long parameters and the long parts of the answer out, and say how long all of them were."""
    asked, answered = _short(made.request_parameters), _short(made.response_elements)
    lengths = {
        name: len(_ENCODER.encode(whole))
        for name, whole, kept in (
            ("requestParameters", made.request_parameters, asked),
            ("responseElements", made.response_elements, answered),
        )
        if kept != whole
    }
    return msgspec.structs.replace(
        made, request_parameters=asked, response_elements=answered, additional_event_data={"omittedBytes": lengths}
    )


def _short(members: dict[str, Any] | None) -> dict[str, Any] | None:
    kept = {name: entry for name, entry in (members or {}).items() if len(_ENCODER.encode(entry)) <= MOST_TEXT}
    return kept or None


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
