"""An HTTP load generator: ready-made requests over raw sockets from several processes.

Each process keeps its connections in one selector loop with one request in flight on each. A server that closes after every answer
(moto's does) gets a new connection for every request, as any client would have to make.
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from bench import certificate
from bench.programs import Address, BenchError


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send: address, and whether over TLS."""

    address: Address
    secure: bool = False

    def connect(self, context: ssl.SSLContext | None) -> socket.socket:
        """Open a connection and make it non-blocking."""
        plain = socket.create_connection(self.address, 10.0)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened = context.wrap_socket(plain) if context else plain
        opened.setblocking(False)
        return opened


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: answers with status 200, seconds, other statuses counted, and one wrong answer to show."""

    answers: int
    seconds: float
    others: dict[int, int]
    example: bytes = b""
    times: tuple[float, ...] = ()
    """Seconds from each request to its whole answer, in no order."""

    @property
    def p99(self) -> float:
        """Give the seconds within which 99 of 100 answers came."""
        return sorted(self.times)[min(len(self.times) - 1, len(self.times) * 99 // 100)]

    @property
    def rate(self) -> float:
        """Give good answers a second."""
        return self.answers / self.seconds


@dataclass(slots=True)
class _Exchange:
    """One connection: what has come in so far, and when its request was sent."""

    socket: socket.socket
    sent: float
    received: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Tally:
    """What one process has seen."""

    statuses: Counter[int] = field(default_factory=Counter)
    example: bytes = b""
    times: list[float] = field(default_factory=list)


def run(target: Target, requests: Sequence[bytes], *, seconds: float | None = None, connections: int = 16, processes: int = 2) -> Outcome:
    """Send requests over and over for `seconds`, or each once when that is None; raise BenchError when an answer is not 200."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(processes)
    workers = []
    for number in range(processes):
        receiving, sending = context.Pipe(duplex=False)
        share = requests[number::processes]
        process = context.Process(target=_work, args=(target, share, seconds, connections // processes, barrier, sending), daemon=True)
        process.start()
        sending.close()
        workers.append((process, receiving))
    results = [_result(receiving) for _, receiving in workers]
    for process, _ in workers:
        process.join(10)
    return _outcome(results)


def ceiling(seconds: float = 1.0) -> float:
    """Measure how many answers a second this generator can take from a server that does nothing."""
    context = multiprocessing.get_context("fork")
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = context.Process(target=_echo, args=(listener,), daemon=True)
    server.start()
    try:
        return run(Target(listener.getsockname()[:2]), [b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"] * 2, seconds=seconds).rate
    finally:
        server.kill()
        server.join()
        listener.close()


def _echo(listener: socket.socket) -> None:
    """Answer everything that arrives with the same 300 bytes."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + b"x" * 300
    with selectors.EpollSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                    continue
                client: socket.socket = key.fileobj  # type: ignore[assignment]
                if client.recv(65_536):
                    client.sendall(answer)
                else:
                    selector.unregister(client)
                    client.close()


class Line:
    """One connection for one request after the other; opened again when the server has closed it."""

    __slots__ = ("_socket", "_target")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> bytes:
        """Send a request; give the body of its answer. Raise BenchError when that is not 200."""
        if self._socket is None:
            self._socket = self._target.connect(certificate.client_context() if self._target.secure else None)
            self._socket.settimeout(30.0)
        self._socket.sendall(request)
        answer = bytearray()
        while not whole(answer):
            chunk = self._socket.recv(65_536)
            if not chunk:
                raise BenchError(f"connection closed in an answer: {bytes(answer[:200])!r}")
            answer += chunk
        if _closing(answer):
            self.close()
        _check(Counter({int(answer[9:12]): 1}), bytes(answer))
        return bytes(answer[answer.find(b"\r\n\r\n") + 4 :])

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def each(target: Target, requests: Sequence[bytes]) -> list[bytes]:
    """Send each request in turn on one connection; give the bodies of the answers (for setting up, not timed)."""
    line = Line(target)
    try:
        return [line.ask(request) for request in requests]
    finally:
        line.close()


def _result(receiving: Connection) -> tuple[_Tally, float, float]:
    try:
        received: tuple[_Tally, float, float] = receiving.recv()
    except EOFError:
        raise BenchError("a process of the load generator died") from None
    return received


def _outcome(results: Sequence[tuple[_Tally, float, float]]) -> Outcome:
    statuses: Counter[int] = Counter()
    for tally, _, _ in results:
        statuses.update(tally.statuses)
    example = next((tally.example for tally, _, _ in results if tally.example), b"")
    _check(statuses, example)
    seconds = max(ended for _, _, ended in results) - min(began for _, began, _ in results)
    return Outcome(statuses[200], seconds, dict(statuses), example, tuple(time for tally, _, _ in results for time in tally.times))


def _check(statuses: Counter[int], example: bytes) -> None:
    if set(statuses) - {200}:
        raise BenchError(f"answers other than 200: {dict(statuses)}: {example[:400].decode(errors='replace')}")


def _work(target: Target, share: Sequence[bytes], seconds: float | None, connections: int, barrier: Barrier, sending: Connection) -> None:
    tally = _Tally()
    barrier.wait()
    started = time.monotonic()
    deadline = None if seconds is None else started + seconds
    _drive(target, cycle(share) if deadline else iter(share), connections, deadline, tally)
    sending.send((tally, started, time.monotonic()))
    sending.close()


def _drive(target: Target, requests: Iterator[bytes], connections: int, deadline: float | None, tally: _Tally) -> None:
    """Keep one request in flight on each connection until they run out or the time is over."""
    context = certificate.client_context() if target.secure else None
    selector = selectors.EpollSelector()
    busy = 0
    for request in islice(requests, connections):
        exchange = _Exchange(target.connect(context), time.monotonic())
        selector.register(exchange.socket, selectors.EVENT_READ, exchange)
        exchange.socket.sendall(request)
        busy += 1
    while busy:
        events = selector.select(30.0)
        if not events:
            raise BenchError("no answer for 30 s")
        for key, _ in events:
            exchange = key.data
            if not _receive(exchange, tally):
                continue
            now = time.monotonic()
            tally.times.append(now - exchange.sent)
            exchange.sent = now
            request = b"" if deadline is not None and now > deadline else next(requests, b"")
            if not request:
                selector.unregister(exchange.socket)
                exchange.socket.close()
                busy -= 1
            elif _closing(exchange.received):
                selector.unregister(exchange.socket)
                exchange.socket.close()
                exchange.socket = target.connect(context)
                selector.register(exchange.socket, selectors.EVENT_READ, exchange)
                exchange.socket.sendall(request)
            else:
                exchange.socket.sendall(request)
            exchange.received.clear()
    selector.close()


def _receive(exchange: _Exchange, tally: _Tally) -> bool:
    """Take in what has come; say whether the answer is whole and count it."""
    while True:
        try:
            chunk = exchange.socket.recv(65_536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        exchange.received += chunk
        size = whole(exchange.received)
        if size or not chunk:
            break
    answer = exchange.received
    status = int(answer[9:12]) if size else 0
    tally.statuses[status] += 1
    if status != 200 and not tally.example:
        tally.example = bytes(answer)
    return True


def whole(answer: bytes | bytearray) -> int:
    """Give the size of the HTTP answer once all of it is there, else 0."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = bytes(answer[: end + 2]).lower()
    place = head.find(b"\r\ncontent-length:")
    if place < 0:
        return 0
    size = end + 4 + int(head[place + 17 : head.find(b"\r\n", place + 17)])
    return size if len(answer) >= size else 0


def _closing(answer: bytearray) -> bool:
    """Say whether the server closes after this answer."""
    return b"\r\nconnection: close" in bytes(answer[: answer.find(b"\r\n\r\n")]).lower() or not answer
