"""An HTTP request as the gateway takes it in, and the answer it gives back.

The body is read only after the headers have been found worth it, never beyond its bound, and all bodies under way together have a
bound too.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from postroom.api import sigv4
from postroom.api.errors import Refusal

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CONTENT_TYPE = b"application/x-amz-json-1.1"


def new_id() -> str:
    """Make a request id in the form of a UUID; it need not be unguessable, and the system's random source costs a call into the kernel."""
    digits = f"{_random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_random = random.Random()  # noqa: S311


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request; header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    address: str
    secure: bool
    id: str = field(default_factory=new_id)

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Request:
        """Read the head out of an ASGI scope."""
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        return cls(
            scope["method"],
            raw_path.partition(b"?")[0].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            sigv4.fold(scope["headers"]),
            (scope.get("client") or ("",))[0],
            scope["scheme"] == "https",
        )

    def verify(self, claim: sigv4.Claim, secret: str, body: bytes) -> None:
        """Raise `Refusal` unless the request, with this body, was signed with this secret."""
        sigv4.check(claim, secret, method=self.method, path=self.path, query=self.query, headers=self.headers, body=body)


class Intake:
    """Reads bodies, each within `most` bytes and together within `together`."""

    def __init__(self, most: int, together: int) -> None:
        self._most = most
        self._free = together

    async def read(self, request: Request, receive: Receive) -> bytes:
        """Read a whole body; raises `Refusal` when it is too large, or too many are under way."""
        declared = request.headers.get(b"content-length", b"")
        if declared.isdigit() and len(declared) < 20 and int(declared) > self._most:
            raise _too_large(self._most)
        first = await receive()
        body: bytes = first.get("body", b"")
        if len(body) > self._most:
            raise _too_large(self._most)
        return await self._rest(body, receive) if first.get("more_body") else body

    async def _rest(self, body: bytes, receive: Receive) -> bytes:
        pieces, size, more = [body], len(body), True
        self._free -= size
        try:
            while more:
                if size > self._most:
                    raise _too_large(self._most)
                if self._free < 0:
                    raise Refusal("ServiceUnavailableException", "Too many large requests are under way.")
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError
                piece: bytes = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                self._free -= len(piece)
                more = bool(message.get("more_body"))
        finally:
            self._free += size
        return b"".join(pieces)


async def answer(send: Send, status: int, request_id: str, body: bytes, kind: bytes = CONTENT_TYPE) -> None:
    """Send an answer in AWS's JSON form."""
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"x-amzn-requestid", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _too_large(most: int) -> Refusal:
    return Refusal("RequestEntityTooLargeException", f"The request body is larger than {most} bytes.")
