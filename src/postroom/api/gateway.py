"""The API's one door: an HTTP request in, an answer of AWS out.

`Gateway._serve` is the whole way of a request: the service by the signature's scope, the operation by the service's form, the caller by
the signature, the parameters by the model, permission by the caller's policies, and the operation itself.  Everything that can be
wrong raises, and `_told` has one place for each kind: a `Refusal` already speaks AWS, a `PostroomError` is translated, anything else is
a bug, logged with its trace under the id that the caller is given.  Whatever came of a call, `_note` hears of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import structlog
from prometheus_client import Counter, Histogram

from postroom.api import requests, sigv4
from postroom.api.callers import Signers
from postroom.api.endpoint import Endpoint
from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange, Reply
from postroom.api.operation import Caller
from postroom.api.requests import Intake, Receive, Request, Send
from postroom.api.settings import Settings
from postroom.api.tenants import Tenants
from postroom.model.errors import PostroomError
from postroom.policy.iam.signers import Signer
from postroom.storage.engine import Store

FIRST_REGION = "us-east-1"

REQUESTS = Counter("postroom_api_requests", "API requests answered", ["operation", "code"])
SECONDS = Histogram("postroom_api_seconds", "Time from a request's head to its answer", ["operation"])

log = structlog.get_logger("postroom.api")


class Gateway:
    """The administration API as an ASGI application."""

    def __init__(self, store: Store, settings: Settings | None = None) -> None:
        self._store = store
        self._settings = settings or Settings()
        self._audit = self._settings.audit
        self._signers = Signers(store)
        self._tenants = Tenants(store)
        self._endpoint = Endpoint(store, self._settings, self._tenants, self._signers)
        self._intake = Intake(self._settings.body_bytes, self._settings.buffered_bytes)

    def forget(self) -> None:
        """Read keys, organizations and tags anew, after they were changed other than through here."""
        self._signers.forget()
        self._tenants.forget()

    async def close(self) -> None:
        """Wait for what is still being written."""
        await self._signers.close()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._answer(Request.of(scope), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the server's life (ASGI: lifespan)."""
        while True:
            event = (await receive())["type"]
            if event == "lifespan.shutdown":
                await self.close()
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        exchange = Exchange(request, self._endpoint.of(request))
        try:
            reply = await self._serve(exchange, receive)
        except ConnectionResetError:
            return
        except Exception as error:
            exchange.code, exchange.text = self._told(exchange, error)
            reply = exchange.service.form.refuse(exchange)
        self._note(exchange)
        if self._audit is not None and self._audit.crowded:
            await self._audit.room()
        await requests.answer(send, reply.status, request.id, reply.body, reply.kind)

    async def _serve(self, exchange: Exchange, receive: Receive) -> Reply:
        request, service = exchange.request, exchange.service
        exchange.name = service.form.name(request)
        signer, claim = await self._claimed(exchange)
        body = await self._intake.read(request, receive)
        exchange.octets = len(body)
        request.verify(claim, signer.secret, body)
        self._signers.note_use(signer, service.name)
        exchange.signed, exchange.caller = signer, self._caller(request, signer)
        service.form.read(exchange, body)
        await service.permit(exchange)
        if exchange.invalid is not None:
            raise exchange.invalid
        exchange.answer = await service.perform(exchange)
        return service.form.answer(exchange, exchange.answer)

    async def _claimed(self, exchange: Exchange) -> tuple[Signer, sigv4.Claim]:
        """Find who claims to have signed; whether it is true, only the body will tell."""
        claim, service = sigv4.read(exchange.request.headers), exchange.service
        elsewhere = service.form.worldwide and claim.credential.region == FIRST_REGION
        region = FIRST_REGION if elsewhere else self._settings.region
        sigv4.check_scope(claim, region=region, service=service.name, now=self._store.now())
        return await self._signers.find(claim), claim

    def _caller(self, request: Request, signer: Signer) -> Caller:
        settings = self._settings
        return Caller(settings.account, settings.region, signer.key_id, signer.identity, request.address, request.secure)

    def _told(self, exchange: Exchange, error: Exception) -> tuple[str, str]:
        """Give the code and the text of what went wrong; a bug is told by the request's id alone."""
        form = exchange.service.form
        if isinstance(error, Refusal):
            return form.code(error), error.text
        if isinstance(error, PostroomError):
            code = form.code(error)
            model = exchange.service.model.operations.get(exchange.name)
            if code not in form.common and (model is None or code not in model.errors):
                log.warning("undeclared_error", operation=exchange.name, code=code, text=error.text)
            return code, error.text
        log.error("internal_error", request_id=exchange.request.id, operation=exchange.name, exc_info=error)
        return "InternalFailure", f"internal error {exchange.request.id}"

    def _note(self, exchange: Exchange) -> None:
        """Tell metrics, audit and log of a call that is over, done or refused: the one place that every call comes by."""
        _measure(exchange)
        if self._audit is not None:
            self._audit.note(exchange)
        request = exchange.request
        if exchange.code:
            log.info("request_refused", request_id=request.id, operation=exchange.shown, code=exchange.code, address=request.address)
        elif exchange.operation.writes:
            log.info(
                "done",
                request_id=request.id,
                operation=exchange.shown,
                user=exchange.by.name,
                organization=exchange.organization,
                address=request.address,
            )


def _measure(exchange: Exchange) -> None:
    count, seconds = _meters(exchange.shown or "unknown", exchange.code)
    count.inc()
    seconds.observe(time.perf_counter() - exchange.began)


@cache
def _meters(operation: str, code: str) -> tuple[Counter, Histogram]:
    """Find the metrics of an operation and an outcome; both are from small sets."""
    return REQUESTS.labels(operation, code), SECONDS.labels(operation)
