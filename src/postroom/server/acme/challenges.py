"""Answers to challenges: over plain HTTP (RFC 8555 §8.3), and in the handshake of a TLS connection (RFC 8737).

What is to be answered stands in files, so that any process may have been given the challenge. The authority offers the protocol
`acme-tls/1` (ALPN) and asks for the name (SNI); it is shown a certificate that holds its answer. All other clients, who do not offer that
protocol, are meanwhile shown what they always are. Python calls back when the name is known, but does not say which protocols were offered;
that is read from the ClientHello, which a context hands out before. A Python that no longer does so would show whoever asks for the
name the authority's certificate for the seconds that a challenge takes.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import structlog

from postroom.model.web import Answer, Request, Route
from postroom.server.acme.folder import Folder
from postroom.server.presented import Presented

PATH = "/.well-known/acme-challenge/"
PROTOCOL = "acme-tls/1"
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
"""RFC 8555 §8.3: base64url, at least 128 bits."""
NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){1,126}")
OCTETS = 1024
HANDSHAKE, CLIENT_HELLO = 22, 1

log = structlog.get_logger("postroom.acme")


def routes(folder: Folder) -> Iterator[Route]:
    """Give the route that answers over plain HTTP."""

    def read(token: str) -> bytes | None:
        try:
            with folder.posed(token).open("rb") as file:
                return file.read(OCTETS)
        except FileNotFoundError:
            return None

    async def answer(request: Request) -> Answer:
        token = request.path.removeprefix(PATH)
        found = await asyncio.to_thread(read, token) if TOKEN.fullmatch(token) else None
        if found is None:
            return Answer(404, b"no such challenge\n")
        return Answer(200, found, "application/octet-stream")

    yield Route(path=PATH + "*", handler=answer, plain=True)


def in_handshake(name: str) -> str:
    """Give the file with the certificate that answers for a name."""
    return f"{name}.pem"


class Answering:
    """The context of the web door under TLS: what all doors show, and to an authority its answer."""

    def __init__(self, shown: Presented, folder: Folder) -> None:
        self._shown = shown
        self._folder = folder
        self._offering: WeakSet[ssl.SSLObject] = WeakSet()
        self.context = shown.door()
        self.context.sni_callback = self._show
        self._attentive = hasattr(ssl.SSLContext, "_msg_callback")
        if self._attentive:
            setattr(self.context, "_msg_callback", self._hear)  # noqa: B010  it has no public name

    def _hear(self, connection: ssl.SSLObject, direction: str, _: Any, kind: int, message: int, data: bytes) -> None:
        """Note who offers the protocol of challenges."""
        if kind == HANDSHAKE and message == CLIENT_HELLO and direction == "read" and b"\x0a" + PROTOCOL.encode() in data:
            self._offering.add(connection)

    def _show(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if connection in self._offering or not self._attentive:
            answering = self._answer((name or "").lower())
            if answering is not None:
                connection.context = answering
                return
        self._shown.show(connection, name, context)

    def _answer(self, name: str) -> ssl.SSLContext | None:
        """Make a context with the answer for a name; None where there is no challenge."""
        path = self._folder.posed(in_handshake(name))
        if not NAME.fullmatch(name) or not path.exists():
            return None
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(path)
        except (OSError, ValueError) as error:
            log.warning("challenge_unreadable", name=name, reason=str(error))
            return None
        made.set_alpn_protocols([PROTOCOL])
        return made
