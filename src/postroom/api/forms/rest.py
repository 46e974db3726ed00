"""REST-JSON: the operation in method and path, parameters in path and JSON body, a payload as the body itself (WorkMail Message Flow)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from postroom.api import errors, validation
from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange, Reply
from postroom.api.model import ServiceModel
from postroom.api.operation import Answer, Operation
from postroom.api.requests import Request
from postroom.model.errors import PostroomError

JSON = b"application/json"
OCTETS = b"application/octet-stream"
_PLACE = re.compile(r"\\\{(\w+)\\\}")


class RestForm:
    """Reads and writes for one service; `statuses` are the HTTP statuses of its errors that are not 400."""

    worldwide = False
    common = errors.COMMON

    def __init__(self, model: ServiceModel, operations: Mapping[str, Operation], statuses: Mapping[str, int]) -> None:
        self._model = model
        self._paths = [(_expression(model.operations[name].uri), model.operations[name].method, name) for name in operations]
        self._statuses = statuses

    def name(self, request: Request) -> str:
        """Find the operation whose method and path these are."""
        for expression, method, name in self._paths:
            if method == request.method and expression.fullmatch(request.path):
                return name
        raise Refusal("UnknownOperationException", "The requested operation is not recognized.")

    def read(self, exchange: Exchange, body: bytes) -> None:
        """Put the parameters of path and body together."""
        model = self._model.operations[exchange.name]
        named = self._named(exchange)
        try:
            exchange.params = validation.checked(model, self._body(body) | named)
        except Refusal as refusal:
            if refusal.code != "ValidationException":
                raise
            exchange.params, exchange.invalid = named, refusal

    def answer(self, exchange: Exchange, answer: Answer) -> Reply:
        """Write an answer: the payload as it is, or JSON."""
        output = self._model.operations[exchange.name].output
        if output is not None and output.payload:
            return Reply(200, bytes(answer[output.payload]), OCTETS)
        return Reply(200, msgspec.json.encode(answer), JSON)

    def code(self, error: Refusal | PostroomError) -> str:
        """Give the code of an error."""
        return error.code if isinstance(error, Refusal) else errors.code_of(error)

    def refuse(self, exchange: Exchange) -> Reply:
        """Write an error."""
        status = self._statuses.get(exchange.code, errors.status_of(exchange.code))
        return Reply(status, errors.body(exchange.code, exchange.text), JSON)

    def _named(self, exchange: Exchange) -> dict[str, Any]:
        """Read the members that stand in the path."""
        expression = next(expression for expression, _, name in self._paths if name == exchange.name)
        found = expression.fullmatch(exchange.request.path)
        return {} if found is None else {name: unquote(value) for name, value in found.groupdict().items()}

    def _body(self, body: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(body or b"{}")
        except (ValueError, RecursionError):
            raise Refusal("SerializationException", "The request body is not a JSON document.") from None
        if not isinstance(value, dict):
            raise Refusal("SerializationException", "Expected map or null")
        return value


def _expression(uri: str) -> re.Pattern[str]:
    """Make an expression of a path such as `/messages/{messageId}`."""
    return re.compile(_PLACE.sub(r"(?P<\1>[^/]+)", re.escape(uri)))
