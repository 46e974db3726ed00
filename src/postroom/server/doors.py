"""What the HTTP listeners answer: the API gateway, and beside it /healthz and /metrics."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from postroom.server.http import Application

Send = Callable[[dict[str, Any]], Awaitable[None]]
Health = Callable[[], Awaitable[bool]]
METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


def api(gateway: Application, healthy: Health) -> Application:
    """Answer /healthz to everyone, /metrics to the loopback, the rest through the gateway."""

    async def answer(scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        path = scope["path"]
        if path == "/healthz":
            await _health(healthy, send)
        elif path == "/metrics" and _is_local(scope):
            await _metrics(send)
        else:
            await gateway(scope, receive, send)

    return answer


def observation(healthy: Health) -> Application:
    """Answer /metrics and /healthz and nothing else, for a listener of its own."""

    async def answer(scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        if scope["path"] == "/healthz":
            await _health(healthy, send)
        elif scope["path"] == "/metrics":
            await _metrics(send)
        else:
            await _reply(send, 404, b"text/plain", b"not here\n")

    return answer


async def _health(healthy: Health, send: Send) -> None:
    if await healthy():
        await _reply(send, 200, b"application/json", b'{"status":"ok"}\n')
    else:
        await _reply(send, 503, b"application/json", b'{"status":"storage does not answer"}\n')


async def _metrics(send: Send) -> None:
    from prometheus_client import generate_latest

    await _reply(send, 200, METRICS_TYPE, generate_latest())


async def _reply(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_local(scope: Mapping[str, Any]) -> bool:
    """Tell whether a request was made on this machine and not handed on by a proxy (RFC 7239)."""
    client = scope.get("client")
    forwarded = any(name in (b"forwarded", b"x-forwarded-for") for name, _ in scope["headers"])
    return client is not None and not forwarded and ipaddress.ip_address(client[0]).is_loopback
