"""AWS JSON 1.1: the operation in X-Amz-Target, everything else a JSON body (WorkMail)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from postroom.api import errors, validation
from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange, Reply
from postroom.api.model import ServiceModel
from postroom.api.operation import Answer, Operation
from postroom.api.requests import CONTENT_TYPE, Request
from postroom.model.errors import PostroomError


class JsonForm:
    """Reads and writes for one service; of parameters that violate a constraint it keeps those of `kept`, to judge permission by."""

    worldwide = False
    common = errors.COMMON

    def __init__(self, model: ServiceModel, operations: Mapping[str, Operation], kept: Collection[str]) -> None:
        self._prefix, self._service = model.target_prefix, model.signing_name
        self._operations = operations
        self._kept = kept
        for name in operations:
            validation.decoder(name, self._service)

    def name(self, request: Request) -> str:
        """Find the name of a known operation in X-Amz-Target."""
        prefix, _, name = request.headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
        if prefix != self._prefix or name not in self._operations or request.method != "POST" or request.path != "/":
            raise Refusal("UnknownOperationException", "The requested operation is not recognized.")
        return name

    def read(self, exchange: Exchange, body: bytes) -> None:
        """Decode the parameters."""
        try:
            exchange.params = validation.decode(exchange.name, body, self._service)
        except Refusal as refusal:
            if refusal.code != "ValidationException":
                raise
            exchange.params, exchange.invalid = self._rest(body), refusal

    def answer(self, exchange: Exchange, answer: Answer) -> Reply:
        """Write an answer."""
        return Reply(200, msgspec.json.encode(answer), CONTENT_TYPE)

    def code(self, error: Refusal | PostroomError) -> str:
        """Give the code of an error."""
        return error.code if isinstance(error, Refusal) else errors.code_of(error)

    def refuse(self, exchange: Exchange) -> Reply:
        """Write an error."""
        return Reply(errors.status_of(exchange.code), errors.body(exchange.code, exchange.text), CONTENT_TYPE)

    def _rest(self, body: bytes) -> dict[str, Any]:
        """Keep what names a resource, unless it has a NUL in it, with which nothing is ever looked up."""
        given = msgspec.json.decode(body or b"{}")
        named = {name: given[name] for name in self._kept if isinstance(given.get(name), str)}
        return {name: value for name, value in named.items() if "\0" not in value}
