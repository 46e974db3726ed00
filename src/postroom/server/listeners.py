"""Listening sockets: opened together, told where they ended up, closed together."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from postroom.server.endpoints import Endpoint

BACKLOG = 512
TLS_HANDSHAKE_SECONDS = 15


class Server(Protocol):
    """What every protocol's room offers: connections, and an end to them."""

    def connection(self, *, implicit_tls: bool) -> asyncio.Protocol:
        """Make the protocol of one accepted connection."""

    async def close(self, grace: float) -> None:
        """Say good-bye to all clients within `grace` seconds."""


class PortTaken(Exception):
    """An address cannot be listened on; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Door:
    """A server at one address; `context` is set where TLS starts with the first byte (RFC 8314 §3)."""

    name: str
    server: Server
    endpoint: Endpoint
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """A door that accepts, and where: never port 0."""

    door: Door
    host: str
    port: int
    servers: Sequence[asyncio.Server]

    def close(self) -> None:
        """Accept no more."""
        for server in self.servers:
            server.close()


def bind(endpoint: Endpoint) -> list[socket.socket]:
    """Bind an address; raises PortTaken. Every interface means IPv4 and, where the machine has it, IPv6, on one port."""
    if endpoint.host is not None:
        return [_bind(endpoint.host, endpoint.port)]
    first = _bind("0.0.0.0", endpoint.port)  # noqa: S104  that is what `*` asks for
    try:
        return [first, _bind("::", first.getsockname()[1])]
    except PortTaken as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return [first]
        first.close()
        raise


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"cannot listen on {host} port {port}: {error.strerror}") from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise PortTaken(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return made


async def open_all(doors: Sequence[Door], *, yielding: bool = False) -> list[Listener]:
    """Bind every door before the first one accepts; raises PortTaken with none left open.

    A yielding program takes any free port instead of one that is taken.
    """
    bound: list[tuple[Door, list[socket.socket]]] = []
    try:
        for door in doors:
            bound.append((door, _bind_or_yield(door.endpoint) if yielding else bind(door.endpoint)))
    except PortTaken:
        for _, sockets in bound:
            for made in sockets:
                made.close()
        raise
    return [await _accept(door, sockets) for door, sockets in bound]


def _bind_or_yield(endpoint: Endpoint) -> list[socket.socket]:
    try:
        return bind(endpoint)
    except PortTaken:
        return bind(Endpoint(endpoint.host, 0))


async def _accept(door: Door, sockets: Sequence[socket.socket]) -> Listener:
    loop = asyncio.get_running_loop()
    host, port = sockets[0].getsockname()[:2]
    handshake = TLS_HANDSHAKE_SECONDS if door.context else None
    servers = [
        await loop.create_server(_factory(door), sock=made, ssl=door.context, backlog=BACKLOG, ssl_handshake_timeout=handshake)
        for made in sockets
    ]
    return Listener(door, _reachable(host), port, servers)


def _factory(door: Door) -> Callable[[], asyncio.Protocol]:
    implicit = door.context is not None
    return lambda: door.server.connection(implicit_tls=implicit)


def _reachable(host: str) -> str:
    """Give the address a client on this machine connects to."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
