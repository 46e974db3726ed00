"""One conversation with a directory server, blocking, within its time: connected, under TLS, bound, closed.

The standard library's sockets and TLS, since they wait without holding the interpreter and within a bound. (Measured against the C library
of Debian 12: its TLS handshake with a silent server has no end.)
"""

import ipaddress
import socket
import ssl
import time
import urllib.parse
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from postroom.ldap import ber, messages
from postroom.ldap.ber import Malformed
from postroom.ldap.messages import Message, Result
from postroom.ldap.settings import Settings
from postroom.model import errors

LONGEST_ANSWER = 65_536
"""Octets of a message at a sign-in."""
LONGEST_MESSAGE = 16 * 2**20
"""Octets of a message where much is read: one entry with all its members."""
MOST_VALUES = 5_000_000
"""Values in all entries together: the shortest take many times the memory that they take to say."""
LONGEST_CONVERSATION = 2**30
"""Octets that a server may say altogether."""
LONGEST_SECONDS = 900.0
"""How long a conversation may last, however busy it is."""
SHORTEST_SECONDS = 0.05
REFUSALS = frozenset({messages.INVALID_CREDENTIALS, 19, 32, 34, 48, 50, 53})
"""Answers that say "you do not come in"; any other is a server that cannot serve (RFC 4511 appendix A)."""

Attributes = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is."""

    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read `ldap://host:port` or `ldaps://host:port`; raises ValueError."""
        read = urllib.parse.urlsplit(url)
        if read.scheme not in ("ldap", "ldaps") or not read.hostname or read.path.strip("/") or read.query or read.username:
            raise ValueError(f'"{url}" is no address of a directory; write it like ldaps://directory.example.com')
        return cls(read.hostname, read.port or (636 if read.scheme == "ldaps" else 389), read.scheme == "ldaps")

    @property
    def loopback(self) -> bool:
        """Say whether it is on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Silent(errors.DirectoryUnavailable):
    """A server that is out of reach, falls silent, or does not speak LDAP; what it says no to is another matter."""


class Link:
    """An open connection. Whatever fails is `DirectoryUnavailable`, but for what `bind` answers."""

    def __init__(self, connection: socket.socket, settings: Settings, end: float) -> None:
        self._socket = connection
        self._settings = settings
        self._end = end
        self._last: float | None = None
        self._number = 0
        self._data = bytearray()
        self._heard = 0
        self._values = 0

    def secure(self, host: str, context: ssl.SSLContext, *, ask: bool) -> None:
        """Go on under TLS, after asking for it where it does not begin with the first octet."""
        if ask:
            self._send(messages.starttls(self._next()))
            done = messages.result(self._receive(messages.EXTENDED_ANSWER))
            if done.code != messages.SUCCESS or self._data:
                raise errors.DirectoryUnavailable(f"The directory refuses StartTLS: {done.text}")
        self._socket.settimeout(self._left())
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def linger(self) -> None:
        """Give the server its time anew for each page and entry from now on, to read much of it."""
        self._last = time.monotonic() + LONGEST_SECONDS

    def bind(self, dn: str, password: str) -> bool:
        """Say whether somebody may come in by this password.

        Without a name or a password a server would say yes and mean nobody in particular (RFC 4513 §5.1.2): no such thing is asked.
        """
        if not dn or not password:
            return False
        self._send(messages.bind(self._next(), dn, password))
        done = messages.result(self._receive(messages.BIND_ANSWER))
        if done.code not in REFUSALS:
            _require_success(done)
        return done.code == messages.SUCCESS

    def search(self, base: str, filter: bytes, attributes: Sequence[str]) -> Generator[tuple[str, Attributes], None, None]:
        """List all entries at and below a base, page by page; anything less than all of them is `DirectoryUnavailable`."""
        cookie = b""
        while True:
            seconds = max(1, int(self._settings.answer_seconds))
            self._begin()
            self._send(messages.search(self._next(), base, filter, attributes, page=self._settings.page, cookie=cookie, seconds=seconds))
            done = yield from self._entries()
            _require_success(messages.result(done))
            cookie = done.cookie
            if not cookie:
                return

    def one(self, dn: str, filter: bytes, attributes: Sequence[str]) -> Attributes:
        """Read the entry with this DN; nothing when it is gone."""
        self._begin()
        self._send(messages.search(self._next(), dn, filter, attributes, whole=False))
        entries = self._entries()
        found: Attributes = {}
        while True:
            try:
                found = next(entries)[1]
            except StopIteration as end:
                _require_success(messages.result(end.value))
                return found

    def close(self) -> None:
        """Take leave."""
        with suppress(OSError):
            self._socket.settimeout(0.2)
            self._socket.sendall(messages.unbind(self._number + 1))
        self._socket.close()

    def _entries(self) -> Generator[tuple[str, Attributes], None, Message]:
        while True:
            message = self._receive(messages.ENTRY, messages.SEARCH_DONE, messages.REFERENCE)
            if message.kind == messages.SEARCH_DONE:
                return message
            self._begin()
            if message.kind == messages.ENTRY:
                yield self._counted(messages.entry(message))

    def _counted(self, entry: tuple[str, Attributes]) -> tuple[str, Attributes]:
        self._values += 1 + sum(1 + len(values) for values in entry[1].values())
        if self._values > MOST_VALUES:
            raise errors.DirectoryUnavailable("The directory says more than can be read.")
        return entry

    def _begin(self) -> None:
        """Give the server its time anew, where much is read."""
        if self._last is not None:
            self._end = min(time.monotonic() + self._settings.answer_seconds, self._last)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def _receive(self, *kinds: int) -> Message:
        longest = LONGEST_ANSWER if self._last is None else LONGEST_MESSAGE
        while True:
            found = ber.head(self._data)
            if found is not None and found[2] > longest:
                raise Malformed("a message too large")
            if found is not None and len(self._data) >= found[2]:
                break
            self._socket.settimeout(self._left())
            piece = self._socket.recv(262_144)
            if not piece:
                raise ConnectionResetError("it has closed the connection")
            self._data += piece
            self._heard += len(piece)
            if self._heard > LONGEST_CONVERSATION:
                raise Malformed("more than can be read")
        tag, start, end = found
        message = messages.read(bytes(self._data[start:end]))
        del self._data[:end]
        if tag != ber.SEQUENCE or message.id != self._number or message.kind not in kinds:
            raise Malformed("an answer to something else")
        return message

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("it is silent")
        return left


@contextmanager
def linked(settings: Settings, place: Place, context: ssl.SSLContext | None) -> Iterator[Link]:
    """Connect for a with-block; what fails on the way or within is `DirectoryUnavailable`."""
    end = time.monotonic() + settings.connect_seconds
    try:
        with _connected(place, end) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(connection, settings, end)
            try:
                if context is not None:
                    link.secure(place.host, context, ask=not place.tls)
                yield link
            finally:
                link.close()
    except (OSError, Malformed, ValueError) as error:
        raise Silent(f"The directory at {place.host}:{place.port} does not answer: {error or 'no reason given'}") from error


def _connected(place: Place, end: float) -> socket.socket:
    """Connect to the first address of a host that answers; each has its share of the time, lest a dead one take all of it."""
    failed = OSError("it has no address")
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(found):
        share = max(SHORTEST_SECONDS, (end - time.monotonic()) / (len(found) - number))
        try:
            return _opened(socket.socket(family, kind, protocol), address, share)
        except OSError as error:
            failed = error
        if time.monotonic() >= end:
            break
    raise failed


def _opened(connection: socket.socket, address: Any, seconds: float) -> socket.socket:
    try:
        connection.settimeout(seconds)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _require_success(done: Result) -> None:
    if done.code != messages.SUCCESS:
        raise errors.DirectoryUnavailable(f"The directory answers with result {done.code}: {done.text}")
