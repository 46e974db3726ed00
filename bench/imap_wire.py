"""A plain IMAP client on a raw socket: it sends a line and reads to the tagged answer, looking only at the tail of what comes.

It parses nothing while the clock runs, so that 130 MB of mail cost it little more than reading them off the socket.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.programs import Address, BenchError

WINDOW = 262_144


@dataclass(frozen=True, slots=True)
class Account:
    """Where an account is read and how to get in; implicit TLS, or STARTTLS first."""

    address: Address
    user: str
    password: str
    starttls: bool = False


class Client:
    """One connection."""

    __slots__ = ("_buffer", "_socket", "_tag", "_view")

    def __init__(self, address: Address, context: ssl.SSLContext | None, *, starttls: bool = False) -> None:
        """Connect, do the TLS handshake when there is a context, read the greeting."""
        plain = socket.create_connection(address, 60.0)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(WINDOW)
        self._view = memoryview(self._buffer)
        self._tag = 0
        self._socket: socket.socket = plain
        if starttls:
            self._line()
            self.command(b"STARTTLS")
        if context:
            self._socket = context.wrap_socket(plain)
        if not starttls:
            self._line()

    def command(self, text: bytes) -> bytes:
        """Send a command; give everything up to its tagged OK. Raise BenchError on NO and BAD."""
        tag = self._next()
        self._socket.sendall(tag + b" " + text + b"\r\n")
        return self._finish(tag, text)

    def append(self, folder: bytes, message: bytes) -> None:
        """APPEND one message with a non-synchronizing literal and wait for OK."""
        tag = self._next()
        self._socket.sendall(b"%s APPEND %s {%d+}\r\n%s\r\n" % (tag, folder, len(message), message))
        self._finish(tag, b"APPEND")

    def append_all(self, folder: bytes, messages: Iterable[bytes], ahead: int = 16) -> int:
        """APPEND many with `ahead` of them under way (for loading, not timed); give their number."""
        tags: list[bytes] = []
        count = 0
        for message in messages:
            tags.append(self._next())
            self._socket.sendall(b"%s APPEND %s {%d+}\r\n%s\r\n" % (tags[-1], folder, len(message), message))
            count += 1
            if len(tags) == ahead:
                self._finish(tags[-1], b"APPEND")
                tags.clear()
        if tags:
            self._finish(tags[-1], b"APPEND")
        return count

    def idle(self) -> None:
        """Enter IDLE and stay there."""
        self._socket.sendall(self._next() + b" IDLE\r\n")
        line = self._line()
        while not line.startswith(b"+"):
            line = self._line()

    def close(self) -> None:
        """Drop the connection without a word."""
        self._socket.close()

    def _next(self) -> bytes:
        self._tag += 1
        return b"t%06d" % self._tag

    def _finish(self, tag: bytes, command: bytes) -> bytes:
        received = bytearray()
        while (status := _status(received, tag)) is None:
            size = self._socket.recv_into(self._view)
            if not size:
                raise BenchError(f"connection closed in {command[:60]!r}: {bytes(received[-300:])!r}")
            received += self._view[:size]
        if not status.startswith(b"OK"):
            raise BenchError(f"{command[:60]!r} answered {status[:300]!r}")
        return bytes(received)

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\r\n"):
            size = self._socket.recv_into(self._view)
            if not size:
                raise BenchError(f"connection closed: {bytes(line)!r}")
            line += self._view[:size]
        return bytes(line)


def _status(received: bytearray, tag: bytes) -> bytes | None:
    """Give what follows the tag when the last line is the tagged one, looking at nothing before that line."""
    if not received.endswith(b"\r\n"):
        return None
    last = received.rfind(b"\r\n", 0, len(received) - 2)
    start = last + 2 if last >= 0 else 0
    return bytes(received[start + len(tag) + 1 :]) if received.startswith(tag + b" ", start) else None


def enter(account: Account, context: ssl.SSLContext | None, select: bytes = b"") -> Client:
    """Connect and log in; SELECT a folder when one is named."""
    client = Client(account.address, context, starttls=account.starttls)
    client.command(b'LOGIN "%s" "%s"' % (account.user.encode(), account.password.encode()))
    if select:
        client.command(b"SELECT " + select)
    return client


def hits(answer: bytes) -> list[int]:
    """Read the numbers of a SEARCH answer."""
    found = re.search(rb"(?m)^\* SEARCH([ 0-9]*)\r$", answer)
    return [int(number) for number in found[1].split()] if found else []


def holds(client: Client, folder: bytes) -> int:
    """Ask how many messages a folder holds."""
    found = re.search(rb"MESSAGES (\d+)", client.command(b"STATUS %s (MESSAGES)" % folder))
    return int(found[1]) if found else 0


def count_answers(answer: bytes, word: bytes) -> int:
    """Count untagged FETCH answers."""
    return len(re.findall(rb"(?m)^\* \d+ " + word + rb" ", answer))


def total(clients: Sequence[Client], folder: bytes = b"INBOX") -> int:
    """Add up what a folder holds over several accounts."""
    return sum(holds(client, folder) for client in clients)
