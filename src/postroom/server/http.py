"""HTTP: uvicorn's protocol for one ASGI application, as one more server beside the mail protocols.

uvicorn parses and answers; the program listens, drains and handles signals. Added are three bounds it lacks: how long a
request may take to arrive, how much of it may be no body (its head, the framing of chunks, trailers), and how many may wait
behind one that is being answered. And an answer's head and body leave together: two packets would wake its reader twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from postroom.policy.crowd import Crowd

HEAD_OCTETS = 65_536
KEEP_ALIVE_SECONDS = 75
PIPELINED = 16
"""Requests that may wait for the answer to another on the same connection."""

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Gathering:
    """A transport that sends what is written in one turn of the loop as one."""

    __slots__ = ("_loop", "_pieces", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send at the end of this turn."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def close(self) -> None:
        """Close, after what has been written."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            if not self._transport.is_closing():
                self._transport.write(data)


class BoundedProtocol(HttpToolsProtocol):
    """One HTTP connection whose requests must arrive whole, in time."""

    seconds = 30.0
    crowd: Crowd | None = None
    _place: str | None = None
    """Under which the connection is counted; None when it is not."""
    _beside = 0
    """Octets of the request that are no body."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the time of the first request; one connection too many from its place is cut off."""
        if self.crowd is not None:
            peer = transport.get_extra_info("peername") or ("",)
            place = self.crowd.place(str(peer[0]))
            if not self.crowd.enter(place):
                cast(asyncio.Transport, transport).abort()
                return
            self._place = place
        super().connection_made(Gathering(cast(asyncio.Transport, transport), self.loop))  # type: ignore[arg-type]
        self._start()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; a head, a chunk's framing or trailers without end close the connection."""
        if self._deadline is None:
            self._start()
        self._beside += len(data)
        super().data_received(data)
        if self._beside > HEAD_OCTETS and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head has ended; a body may follow."""
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests in the pipeline")  # the parser's caller answers 400 and closes
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; it pays for as much framing."""
        self._beside -= 2 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the next one has its own time."""
        self._beside = 0
        self._stop()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time, and the connection."""
        if self.crowd is not None:
            if self._place is None:
                return
            self.crowd.leave(self._place)
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._deadline = self.loop.call_later(self.seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class HttpServer:
    """Connections to one application; with a crowd, only so many of them from one place."""

    def __init__(self, application: Application, *, seconds: float = 30.0, connections: int = 1000, crowd: Crowd | None = None) -> None:
        self._protocol = type("Protocol", (BoundedProtocol,), {"seconds": seconds, "crowd": crowd})
        self._config = uvicorn.Config(
            application, interface="asgi3", http=self._protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, limit_concurrency=connections,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._clock: asyncio.TimerHandle | None = None

    def connection(self, *, implicit_tls: bool = False) -> asyncio.Protocol:
        """Make the protocol of one connection; TLS is the listener's."""
        if self._clock is None:
            self._tick()
        made: asyncio.Protocol = self._protocol(config=self._config, server_state=self._state, app_state={})
        return made

    def _tick(self) -> None:
        """Set the Date of all answers (RFC 9110 §6.6.1), once a second."""
        self._state.default_headers[:] = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        self._clock = asyncio.get_running_loop().call_later(1.0, self._tick)

    async def close(self, grace: float) -> None:
        """Let requests under way finish for `grace` seconds, then cut what is left."""
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=grace)
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._clock is not None:
            self._clock.cancel()
