"""AWS Query: the operation and its parameters in a form, answers in XML (IAM, STS).

`Tags.member.1.Key=a` names a place in the operation's input; the form is taken apart into nested values, which are then checked against the
model like those of any other request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from postroom.api import errors, validation
from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange, Reply
from postroom.api.model import ServiceModel, Shape
from postroom.api.operation import Answer, Operation
from postroom.api.requests import Request
from postroom.model.errors import DeleteConflict, MalformedPolicy, PostroomError

XML = b"text/xml"
MOST_FIELDS = 500
DEEPEST = 8
CODES: Mapping[str, str] = {
    "EntityNotFoundException": "NoSuchEntity",
    "InternalFailure": "InternalFailure",
    "InvalidParameterException": "ValidationError",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "NameAvailabilityException": "EntityAlreadyExists",
    "ResourceNotFoundException": "NoSuchEntity",
    "SerializationException": "MalformedInput",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ValidationException": "ValidationError",
}
"""From the codes of JSON services; the others only lose the word Exception."""
_WORDS: Mapping[type[PostroomError], str] = {MalformedPolicy: "MalformedPolicyDocument", DeleteConflict: "DeleteConflict"}
_STATUSES: Mapping[str, int] = {
    "AccessDenied": 403,
    "DeleteConflict": 409,
    "EntityAlreadyExists": 409,
    "ExpiredToken": 403,
    "InternalFailure": 500,
    "InvalidClientTokenId": 403,
    "LimitExceeded": 409,
    "MissingAuthenticationToken": 403,
    "NoSuchEntity": 404,
    "RequestEntityTooLarge": 413,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
}


def _spelled(code: str) -> str:
    return CODES.get(code, code.removesuffix("Exception"))


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"(?a)[+-]?\d{1,18}\Z")


class QueryForm:
    """Reads and writes for one service."""

    worldwide = True
    common = frozenset(_spelled(code) for code in errors.COMMON)

    def __init__(self, model: ServiceModel, operations: Mapping[str, Operation]) -> None:
        self._model = model
        self._operations = operations

    def name(self, request: Request) -> str:
        """Only the body tells."""
        if request.method != "POST" or request.path != "/":
            raise _unknown("", self._model.version)
        return ""

    def read(self, exchange: Exchange, body: bytes) -> None:
        """Read the form: Action, Version and parameters."""
        fields = _fields(body)
        action, version = fields.get("Action", ""), fields.get("Version", self._model.version)
        if action not in self._operations or version != self._model.version:
            raise _unknown(action, version)
        exchange.name = action
        model = self._model.operations[action]
        given = _structure(model.input, _tree(fields))
        try:
            exchange.params = validation.checked(model, given)
        except Refusal as refusal:
            if refusal.code != "ValidationException":
                raise
            exchange.params, exchange.invalid = _rest(given), refusal

    def answer(self, exchange: Exchange, answer: Answer) -> Reply:
        """Write an answer."""
        model = self._model.operations[exchange.name]
        result = "" if model.output is None else f"<{model.wrapper}>{''.join(_members(model.output, answer))}</{model.wrapper}>"
        about = f"<ResponseMetadata><RequestId>{exchange.request.id}</RequestId></ResponseMetadata>"
        return self._reply(200, f"{exchange.name}Response", result + about)

    def code(self, error: Refusal | PostroomError) -> str:
        """Give the code of an error as Query services spell it."""
        if isinstance(error, Refusal):
            code = error.code
        else:
            code = _WORDS.get(type(error)) or errors.code_of(error)
        return _spelled(code)

    def refuse(self, exchange: Exchange) -> Reply:
        """Write an error."""
        status = _STATUSES.get(exchange.code, 400)
        kind = "Sender" if status < 500 else "Receiver"
        error = f"<Error><Type>{kind}</Type><Code>{exchange.code}</Code><Message>{_text(exchange.text)}</Message></Error>"
        return self._reply(status, "ErrorResponse", f"{error}<RequestId>{exchange.request.id}</RequestId>")

    def _reply(self, status: int, element: str, content: str) -> Reply:
        return Reply(status, f'<{element} xmlns="{self._model.namespace}">{content}</{element}>\n'.encode(), XML)


def _rest(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what may name a user or a role, to judge permission by, of parameters that violate a constraint."""
    return {name: value for name, value in given.items() if isinstance(value, str) and "\0" not in value}


def _unknown(action: str, version: str) -> Refusal:
    return Refusal("UnknownOperationException", f"Could not find operation {action[:128]} for version {version[:32]}")


def _fields(body: bytes) -> dict[str, str]:
    """Read the form, in which nothing may stand twice."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise _malformed("The request body is not a form.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _malformed("A parameter occurs twice.")
    return fields


def _malformed(text: str) -> Refusal:
    return Refusal("SerializationException", text)


def _tree(fields: Mapping[str, str]) -> dict[str, Any]:
    """Nest the values by the dots in their names."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        *above, last = name.split(".", DEEPEST)
        node: Any = tree
        for step in above:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise _malformed(f"The parameter {name[:128]} is both a value and a structure.")
        if last in node:
            raise _malformed(f"The parameter {name[:128]} is both a value and a structure.")
        node[last] = value
    return tree


def _structure(shape: Shape, tree: Any) -> Any:
    """Read a structure's members; what the model does not know is left out."""
    if not isinstance(tree, dict):
        raise _malformed("A value stands where a structure is expected.")
    return {member.name: _value(member.shape, tree[member.name]) for member in shape.members if member.name in tree}


def _value(shape: Shape, node: Any) -> Any:
    if shape.kind == "structure":
        return _structure(shape, node)
    if shape.kind == "list":
        assert shape.member is not None
        return [] if node == "" else [_value(shape.member, entry) for entry in _entries(node)]
    if not isinstance(node, str):
        raise _malformed("A structure stands where a value is expected.")
    return _scalar(shape, node)


def _entries(node: Any) -> Iterator[Any]:
    """Give the entries of a list in the order of their numbers."""
    numbered = node.get("member") if isinstance(node, dict) and node.keys() == {"member"} else None
    if not isinstance(numbered, dict) or not all(key.isascii() and key.isdigit() and len(key) < 6 for key in numbered):
        raise _malformed("A list is not numbered.")
    return (numbered[key] for key in sorted(numbered, key=int))


def _scalar(shape: Shape, text: str) -> Any:
    if shape.kind in validation.INTEGER_BITS:
        if not _INTEGER.match(text):
            raise _malformed(f"{text[:32]} is not a number.")
        return int(text)
    if shape.kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise _malformed(f"{text[:32]} is neither true nor false.")
        return text.lower() == "true"
    return text


def _members(shape: Shape, value: Mapping[str, Any]) -> Iterator[str]:
    """Write the members of a structure that have a value, in the order of the model."""
    for member in shape.members:
        if value.get(member.name) is not None:
            yield f"<{member.name}>{_written(member.shape, value[member.name])}</{member.name}>"


def _written(shape: Shape, value: Any) -> str:
    if shape.kind == "structure":
        return "".join(_members(shape, value))
    if shape.kind == "list":
        assert shape.member is not None
        return "".join(f"<member>{_written(shape.member, entry)}</member>" for entry in value)
    if shape.kind == "timestamp":
        return datetime.fromtimestamp(int(value), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if shape.kind == "boolean":
        return "true" if value else "false"
    return _text(str(value))


def _text(text: str) -> str:
    """Write a text; a carriage return would be read as the end of a line."""
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text), {"\r": "&#13;"})
