"""A mail server that takes every letter, keeps the last one and counts, in a process of its own: where both sides send to."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

from bench.programs import BenchError


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink: its address, on port 25."""

    address: str
    counted: Synchronized[int]
    asking: Connection

    @property
    def count(self) -> int:
        """Count the letters taken."""
        return self.counted.value

    def last(self) -> bytes:
        """Give the last letter."""
        self.asking.send(None)
        letter: bytes = self.asking.recv()
        return letter

    def await_count(self, wanted: int, seconds: float = 180.0) -> None:
        """Wait until so many letters have been taken."""
        deadline = time.monotonic() + seconds
        while self.count < wanted:
            if time.monotonic() > deadline:
                raise BenchError(f"of {wanted} letters {self.count} arrived within {seconds:.0f} s")
            time.sleep(0.01)


@contextlib.contextmanager
def running() -> Iterator[Sink]:
    """Run a sink on port 25 of a loopback address of its own."""
    listener = _listener()
    context = multiprocessing.get_context("fork")
    counted = context.Value("q", 0)
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(listener, counted, theirs), daemon=True)
    process.start()
    try:
        yield Sink(listener.getsockname()[0], counted, ours)
    finally:
        process.terminate()
        process.join(10)
        listener.close()


def _listener() -> socket.socket:
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            listener.bind((f"127.{random.randint(64, 250)}.{random.randint(0, 255)}.{random.randint(2, 250)}", 25))
            listener.listen(200)
            return listener
        listener.close()


def _serve(listener: socket.socket, counted: Synchronized[int], asked: Connection) -> None:
    asyncio.run(_run(listener, counted, asked))


async def _run(listener: socket.socket, counted: Synchronized[int], asked: Connection) -> None:
    kept = [b""]

    def answer() -> None:
        asked.recv()
        asked.send(kept[0])

    loop = asyncio.get_running_loop()
    loop.add_reader(asked.fileno(), answer)
    server = await loop.create_server(lambda: _Taker(counted, kept), sock=listener)
    await server.serve_forever()


class _Taker(asyncio.Protocol):
    """One client; it may send several commands at once (RFC 2920)."""

    def __init__(self, counted: Synchronized[int], kept: list[bytes]) -> None:
        self._counted, self._kept = counted, kept
        self._received = b""
        self._content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            end = b"\r\n.\r\n" if self._content else b"\r\n"
            part, found, rest = self._received.partition(end)
            if not found:
                return
            self._received = rest
            self._transport.write(self._take(part))

    def _take(self, part: bytes) -> bytes:
        if self._content:
            self._content = False
            self._kept[0] = part
            with self._counted.get_lock():
                self._counted.value += 1
            return b"250 2.0.0 OK\r\n"
        verb = part[:4].upper()
        if verb == b"DATA":
            self._content = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            self._transport.close()
            return b"221 2.0.0 bye\r\n"
        return b"250-sink\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250 8BITMIME\r\n" if verb == b"EHLO" else b"250 2.0.0 OK\r\n"
