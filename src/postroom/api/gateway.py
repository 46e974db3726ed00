"""The API's one door: an HTTP request in, an AWS JSON 1.1 answer out.

`Gateway._serve` is the whole way of a request: the operation by its target, the caller by the signature, the parameters by the model,
permission by the caller's policy; then `_perform`: the organization and its state, the page, the operation itself.  Everything that can be
wrong raises, and `_answer` has one place for each kind: a `Refusal` already speaks AWS, a `PostroomError` is translated, anything else
is a bug, logged with its trace under the id that the caller is given.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter, Histogram

from postroom.api import client_tokens, errors, execution, operations, paging, permission, requests, sigv4, tenants, validation
from postroom.api.callers import Principal, Principals
from postroom.api.errors import Refusal
from postroom.api.execution import Order
from postroom.api.model import load
from postroom.api.operation import FIRST_PAGE, OPERATIONS, Answer, Caller, Operation
from postroom.api.requests import Intake, Receive, Request, Send
from postroom.api.settings import Settings
from postroom.api.tenants import Tenants
from postroom.model.errors import OrganizationNotFound, PostroomError
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import principals

Application = Callable[[Any, Any, Any], Awaitable[None]]

REQUESTS = Counter("postroom_api_requests", "API requests answered", ["operation", "code"])
SECONDS = Histogram("postroom_api_seconds", "Time from a request's head to its answer", ["operation"])

log = structlog.get_logger("postroom.api")


class Gateway:
    """The administration API as an ASGI application."""

    def __init__(self, store: Store, settings: Settings | None = None) -> None:
        operations.enter_all()
        self._store = store
        self._settings = settings or Settings()
        self._model = load()
        self._principals = Principals(store)
        self._tenants = Tenants(store)
        self._intake = Intake(self._settings.body_bytes, self._settings.buffered_bytes)
        self._mounted: dict[str, Application] = {}
        with store.transaction(REGISTRY) as tx:
            self._page_secret = principals.secret(tx, "pages")
        for name in OPERATIONS:
            validation.decoder(name)

    def mount(self, path: str, application: Application) -> None:
        """Serve another application at a path, such as /metrics."""
        self._mounted[path] = application

    def forget(self) -> None:
        """Read keys, organizations and tags anew, after they were changed other than through here."""
        self._principals.forget()
        self._tenants.forget()

    async def close(self) -> None:
        """Wait for what is still being written."""
        await self._principals.close()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"] in self._mounted:
            await self._mounted[scope["path"]](scope, receive, send)
        elif scope["path"] == "/healthz":
            await requests.answer(send, 200, "", b'{"status":"ok"}', b"application/json")
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
        began = time.perf_counter()
        operation = self._operation_name(request)
        try:
            answer = await self._serve(request, receive, operation)
        except Refusal as refusal:
            code, text = refusal.code, refusal.text
        except PostroomError as error:
            code, text = self._translated(error, operation), error.text
        except ConnectionResetError:
            return
        except Exception:
            log.exception("internal_error", request_id=request.id, operation=operation)
            code, text = "InternalFailure", f"internal error {request.id}"
        else:
            await requests.answer(send, 200, request.id, answer)
            _measure(operation, "", began)
            return
        _measure(operation, code, began)
        log.info("request_refused", request_id=request.id, operation=operation, code=code, address=request.address)
        await requests.answer(send, errors.status_of(code), request.id, errors.body(code, text))

    async def _serve(self, request: Request, receive: Receive, name: str) -> bytes:
        operation = _operation(request, name)
        principal, claim = await self._claimed(request)
        body = await self._intake.read(request, receive)
        request.verify(claim, principal.key.secret, body)
        self._principals.note_use(principal.key.id)
        caller = self._caller(request, principal)
        params, invalid = _decoded(name, body)
        organization_id = tenants.named(params)
        await self._permit(request, caller, principal, name, organization_id, params)
        if invalid is not None:
            raise invalid
        answer = await self._perform(operation, caller, params)
        if operation.writes:
            log.info(
                "done",
                request_id=request.id,
                operation=name,
                user=caller.name,
                organization=organization_id or answer.get("OrganizationId", ""),
                address=caller.address,
            )
        return msgspec.json.encode(answer)

    async def _claimed(self, request: Request) -> tuple[Principal, sigv4.Claim]:
        """Find who claims to have signed; whether it is true, only the body will tell."""
        claim = sigv4.read(request.headers)
        sigv4.check_scope(claim, region=self._settings.region, service=self._model.signing_name, now=self._store.now())
        return await self._principals.find(claim), claim

    def _caller(self, request: Request, principal: Principal) -> Caller:
        settings, key = self._settings, principal.key
        return Caller(settings.account, settings.region, key.id, key.name, request.address, request.secure)

    async def _permit(
        self, request: Request, caller: Caller, principal: Principal, name: str, organization_id: str, params: Mapping[str, Any]
    ) -> None:
        """Raise AccessDeniedException unless the caller's policy allows the operation on the organization."""
        policy = principal.policy
        resource = caller.organization_arn(organization_id) if organization_id else "*"
        context: Mapping[str, tuple[str, ...]] = {}
        if policy.contextual:
            known = await self._tenants.tags(organization_id) if policy.looks_at(permission.RESOURCE_TAG) else {}
            context = permission.circumstances(request, caller, params, known, self._store.now())
        decision = permission.decide(policy, name, resource, context)
        if not decision.allowed:
            raise permission.refusal(caller, name, resource, decision)

    async def _perform(self, operation: Operation, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Carry the operation out, in its turn, and forget what it may have changed."""
        model = self._model.operations[operation.name]
        async with self._tenants.turn(operation, params):
            found = await self._tenants.serving(operation, model, caller, params)
            context = f"{operation.name} {found.id}"
            page = paging.request(self._page_secret, context, params) if model.paged else FIRST_PAGE
            token = client_tokens.of(caller.account, operation.name, params) if model.idempotent else None
            order = Order(operation, caller, found, params, self._settings.facilities, page, token)
            try:
                answer = await execution.execute(self._store, order)
            except OrganizationNotFound:
                self._tenants.forget()
                await self._tenants.serving(operation, model, caller, params)  # one deleted meanwhile is refused for its state
                raise
            finally:
                self._tenants.changed_by(operation)
        mark = answer.get("NextToken")
        if isinstance(mark, paging.Mark):
            answer["NextToken"] = paging.seal(self._page_secret, context, params, mark)
        return answer

    def _operation_name(self, request: Request) -> str:
        """Find the name of a known operation in X-Amz-Target; else it is empty."""
        prefix, _, name = request.headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
        return name if prefix == self._model.target_prefix and name in OPERATIONS else ""

    def _translated(self, error: PostroomError, operation: str) -> str:
        """Give the code of a domain error; one that the model does not declare for the operation is noted."""
        code = errors.code_of(error)
        if code not in self._model.operations[operation].errors and code not in errors.COMMON:
            log.warning("undeclared_error", operation=operation, code=code, text=error.text)
        return code


def _operation(request: Request, name: str) -> Operation:
    if not name or request.method != "POST" or request.path != "/":
        raise Refusal("UnknownOperationException", "The requested operation is not recognized.")
    return OPERATIONS[name]


def _decoded(name: str, body: bytes) -> tuple[dict[str, Any], Refusal | None]:
    """Decode the parameters; a violated constraint is not told before permission is given."""
    try:
        return validation.decode(name, body), None
    except Refusal as refusal:
        if refusal.code != "ValidationException":
            raise
        given = msgspec.json.decode(body or b"{}")
        named = {name: given[name] for name in tenants.NAMING if isinstance(given.get(name), str)}
        return {name: value for name, value in named.items() if "\0" not in value}, refusal  # with which nothing is ever looked up


def _measure(operation: str, code: str, began: float) -> None:
    count, seconds = _meters(operation or "unknown", code)
    count.inc()
    seconds.observe(time.perf_counter() - began)


@cache
def _meters(operation: str, code: str) -> tuple[Counter, Histogram]:
    """Find the metrics of an operation and an outcome; both are from small sets."""
    return REQUESTS.labels(operation, code), SECONDS.labels(operation)
