"""The application behind the public web door: finds the route of a request, takes its body, answers.

Without TLS only routes answer that say so; everything else is sent to https (308, which keeps method and body, RFC 9110 §15.4.9). What no
route stands for is not found, whatever its name.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from postroom.model.web import Answer, Request, Route

HANDLER_SECONDS = 20.0
HOST = re.compile(r"(?P<name>[a-z0-9_][a-z0-9_.-]{0,254}|\[[0-9a-f:.]{2,45}\])(?P<port>:\d{1,5})?")

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

NOT_FOUND = Answer(404, b"not here\n")

log = structlog.get_logger("postroom.web")


class BodyTooLarge(Exception):
    """A body is larger than its route takes."""


class Gone(Exception):
    """The client has left before its request was whole."""


class Site:
    """One ASGI application over all routes; `secure_port` is where it listens under TLS: 0 for any port, None where it does not."""

    def __init__(self, routes: Iterable[Route], *, secure_port: int | None) -> None:
        self._routes: Sequence[Route] = tuple(routes)
        self._secure_port = secure_port

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = _headers(scope)
        try:
            answer = await self._answer(scope, headers, receive)
        except BodyTooLarge:
            answer = Answer(413, b"too large\n", headers=(("connection", "close"),))
        except Gone:
            return
        await _send(send, answer, without_body=scope["method"] == "HEAD")

    async def _answer(self, scope: Message, headers: Mapping[str, str], receive: Receive) -> Answer:
        found = HOST.fullmatch(headers.get("host", "").lower())
        if found is None:
            return Answer(400, b"whose host?\n")
        host, method, secure = found["name"].rstrip("."), scope["method"], scope["scheme"] == "https"
        fitting = [route for route in self._routes if route.stands_for(host, scope["path"])]
        if not secure and not (fitting and fitting[0].plain):
            return self._elsewhere(host, found["port"], scope)
        if not fitting:
            return NOT_FOUND
        route = next((route for route in fitting if _takes(route, method)), None)
        if route is None:
            return Answer(405, b"not so\n", headers=(("allow", ", ".join(_methods(fitting))),))
        body = await _body(receive, headers, route.body_bytes)
        client = scope["client"][0] if scope.get("client") else ""
        query = scope["query_string"].decode("latin-1")
        return await _handled(route, Request(method, host, scope["path"], query, headers, body, client, secure))

    def _elsewhere(self, host: str, port: str | None, scope: Message) -> Answer:
        """Send a client to https; one that named a port to that which is listened on, since whatever leads from 443 to it is not there."""
        if self._secure_port is None:
            return NOT_FOUND
        where = f":{self._secure_port}" if port not in (None, ":80") and self._secure_port not in (0, 443) else ""
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        target = f"https://{host}{where}/{path.removeprefix('/')}" + (f"?{query}" if query else "")
        return Answer(308, b"", headers=(("location", target),))


def _takes(route: Route, method: str) -> bool:
    return method in route.methods or (method == "HEAD" and "GET" in route.methods)


def _methods(routes: Sequence[Route]) -> list[str]:
    named = dict.fromkeys(method for route in routes for method in route.methods)
    return [*named, *(["HEAD"] if "GET" in named and "HEAD" not in named else [])]


async def _handled(route: Route, request: Request) -> Answer:
    """Ask a route's handler; what goes wrong there is told to the log alone."""
    try:
        async with asyncio.timeout(HANDLER_SECONDS):
            return await route.handler(request)
    except TimeoutError:
        log.warning("web_timeout", path=route.path, host=route.host)
        return Answer(503, b"later\n", headers=(("retry-after", "60"),))
    except Exception:
        incident = secrets.token_hex(8)
        log.exception("web_failed", id=incident, path=route.path, host=route.host)
        return Answer(500, f"internal error {incident}\n".encode())


def _headers(scope: Message) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in scope["headers"]:
        made.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return made


async def _body(receive: Receive, headers: Mapping[str, str], most: int) -> bytes:
    """Take the whole body; raises BodyTooLarge as soon as that is known, Gone."""
    said = headers.get("content-length", "0")
    if not (said.isascii() and said.isdecimal()) or int(said) > most:
        raise BodyTooLarge
    taken, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        taken += message.get("body", b"")
        more = message.get("more_body", False)
        if len(taken) > most:
            raise BodyTooLarge
    return bytes(taken)


async def _send(send: Send, answer: Answer, *, without_body: bool) -> None:
    headers = [(b"content-type", answer.kind.encode())] if answer.body else []
    headers += [(b"content-length", b"%d" % len(answer.body)), (b"x-content-type-options", b"nosniff")]
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else answer.body})
