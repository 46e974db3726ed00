"""An SMTP load generator: ready-made letters over raw sockets, several processes, a few connections in each.

MAIL, RCPT and DATA go out in one write where the server offers PIPELINING, as mail servers themselves do; each letter waits for its 250.
"""

from __future__ import annotations

import base64
import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from bench.programs import Address, BenchError


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter: recipient, its bytes with dots stuffed and the closing dot, the sender of its envelope, and more recipients."""

    recipient: str
    data: bytes
    sender: str = "stranger@sender.test"
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """Who sends, over TLS from the first byte."""

    context: ssl.SSLContext
    user: str
    password: str

    @property
    def response(self) -> bytes:
        """Give the answer to AUTH PLAIN (RFC 4616)."""
        return base64.b64encode(f"\0{self.user}\0{self.password}".encode())


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many letters were accepted, and when the first was sent and the last answered (monotonic seconds)."""

    letters: int
    started: float
    ended: float


def letter(recipient: str, raw: bytes, sender: str = "stranger@sender.test") -> Letter:
    """Make a letter ready for the wire (RFC 5321 §4.5.2)."""
    return Letter(recipient, raw.replace(b"\r\n.", b"\r\n..") + b".\r\n", sender)


def run(address: Address, letters: Sequence[Letter], *, connections: int = 10, processes: int = 2, login: Login | None = None) -> Accepted:
    """Send all letters over `connections` connections; raise BenchError when one is refused."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(processes)
    workers = []
    for number in range(processes):
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(
            target=_work, args=(address, letters[number::processes], connections // processes, login, barrier, sending), daemon=True
        )
        process.start()
        sending.close()
        workers.append((process, receiving))
    results = [_result(receiving) for _, receiving in workers]
    for process, _ in workers:
        process.join(10)
    failures = [result for result in results if isinstance(result, str)]
    if failures:
        raise BenchError(failures[0])
    spans = [result for result in results if not isinstance(result, str)]
    return Accepted(len(letters), min(span[0] for span in spans), max(span[1] for span in spans))


def _result(receiving: Connection) -> tuple[float, float] | str:
    try:
        received: tuple[float, float] | str = receiving.recv()
    except EOFError:
        return "a process of the load generator died"
    return received


def _work(
    address: Address, letters: Sequence[Letter], connections: int, login: Login | None, barrier: Barrier, sending: Connection
) -> None:
    failures: list[str] = []
    shares = [letters[number::connections] for number in range(connections)]
    threads = [threading.Thread(target=_deliver, args=(address, share, login, failures)) for share in shares]
    barrier.wait()
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sending.send(failures[0] if failures else (started, time.monotonic()))
    sending.close()


def _deliver(address: Address, letters: Sequence[Letter], login: Login | None, failures: list[str]) -> None:
    """Send a share of the letters over one connection."""
    try:
        with socket.create_connection(address, 60.0) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if login is None:
                _dialogue(connection, letters)
            else:
                with login.context.wrap_socket(connection) as secure:
                    _dialogue(secure, letters, login)
    except (OSError, BenchError) as error:
        failures.append(f"{type(error).__name__}: {error}")


def _dialogue(connection: socket.socket, letters: Sequence[Letter], login: Login | None = None) -> None:
    replies = _Replies(connection)
    replies.expect(b"220")
    connection.sendall(b"EHLO sender.test\r\n")
    pipelining = b"PIPELINING" in replies.expect(b"250").upper()
    if login is not None:
        connection.sendall(b"AUTH PLAIN " + login.response + b"\r\n")
        replies.expect(b"235")
    for sent in letters:
        recipients = [b"RCPT TO:<%s>\r\n" % recipient.encode() for recipient in (sent.recipient, *sent.others)]
        commands = [b"MAIL FROM:<%s>\r\n" % sent.sender.encode(), *recipients, b"DATA\r\n"]
        if pipelining:
            connection.sendall(b"".join(commands))
        for command in commands:
            if not pipelining:
                connection.sendall(command)
            replies.expect(b"354" if command is commands[-1] else b"250")
        connection.sendall(sent.data)
        replies.expect(b"250")
    connection.sendall(b"QUIT\r\n")
    replies.expect(b"221")


class _Replies:
    """Reads replies, of several lines too, off a socket."""

    __slots__ = ("_connection", "_received")

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def expect(self, code: bytes) -> bytes:
        """Read one reply; raise BenchError when its code is another."""
        lines = b""
        while True:
            line = self._line()
            lines += line
            if line[3:4] != b"-":
                break
        if not line.startswith(code):
            raise BenchError(f"expected {code.decode()}, got {lines[:300]!r}")
        return lines

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            chunk = self._connection.recv(65_536)
            if not chunk:
                raise BenchError("the server closed the connection")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line
