"""One request and what becomes of it, and what an AWS service has to be to be served here.

All services share one endpoint; which of them a request is for, its signature says.  A service is an operation table with a service
model, a `Form` that reads its requests and writes its answers, and two steps of its own: `permit`, which raises unless the caller may,
and `perform`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from postroom.api.errors import Refusal
from postroom.api.model import WORKMAIL, ServiceModel
from postroom.api.operation import Answer, Caller, Operation
from postroom.api.requests import Request
from postroom.model.errors import PostroomError
from postroom.policy.iam.signers import Signer


class Reply(NamedTuple):
    """What goes back over HTTP."""

    status: int
    body: bytes
    kind: bytes
    """The media type."""


@dataclass(slots=True)
class Exchange:
    """A request on its way, and in the end its outcome: all that logs, metrics and the audit are told."""

    request: Request
    service: Service
    began: float = field(default_factory=time.perf_counter)
    octets: int = 0
    """The size of the body, once it has been read."""
    name: str = ""
    """Of the operation, empty while it is unknown."""
    signed: Signer | None = None
    """Who has signed, once the signature has been verified."""
    caller: Caller | None = None
    """The same, as operations see it."""
    params: Mapping[str, Any] = field(default_factory=dict)
    invalid: Refusal | None = None
    """The constraint that the parameters violate; not told before permission is given."""
    organization: str = ""
    """The id of the organization that it was about."""
    answer: Answer | None = None
    code: str = ""
    """Of the error, empty after success."""
    text: str = ""

    @property
    def operation(self) -> Operation:
        """The operation asked for."""
        return self.service.operations[self.name]

    @property
    def shown(self) -> str:
        """Name the operation in logs and metrics: `CreateUser` of WorkMail, `iam:CreateUser` of another service."""
        return self.name if self.service.name == WORKMAIL or not self.name else f"{self.service.name}:{self.name}"

    @property
    def signer(self) -> Signer:
        """Who has signed; only to be asked after the signature has been verified."""
        assert self.signed is not None
        return self.signed

    @property
    def by(self) -> Caller:
        """Who calls; only to be asked after the signature has been verified."""
        assert self.caller is not None
        return self.caller


class Form(Protocol):
    """How a service's requests, answers and errors look on the wire."""

    worldwide: bool
    """Requests may be signed for AWS's first region too, as SDKs do for services without regions."""
    common: frozenset[str]
    """The codes that any operation may answer without declaring them in the model."""

    def name(self, request: Request) -> str:
        """Name the operation by the request's head; empty when only the body tells. Raises `Refusal` for an unknown one."""

    def read(self, exchange: Exchange, body: bytes) -> None:
        """Read name and parameters into the exchange; raises `Refusal` for what cannot be read."""

    def answer(self, exchange: Exchange, answer: Answer) -> Reply:
        """Write an answer."""

    def code(self, error: Refusal | PostroomError) -> str:
        """Give the code of an error as this form spells it."""

    def refuse(self, exchange: Exchange) -> Reply:
        """Write the exchange's error."""


class Service(Protocol):
    """An AWS service served at this endpoint."""

    name: str
    """The one its requests are signed for, and that its IAM actions begin with."""
    model: ServiceModel
    operations: Mapping[str, Operation]
    form: Form

    async def permit(self, exchange: Exchange) -> None:
        """Raise `Refusal` unless the caller may do this."""

    async def perform(self, exchange: Exchange) -> Answer:
        """Carry the operation out."""
