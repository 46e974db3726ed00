"""What an attacker's hands can do: connect from elsewhere, send without reading, trickle, stop in the middle."""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.hostile.watch import ATTACKER
from tests.program import Endpoint, Ready

GONE = (OSError, EOFError)


def ports(ready: Ready) -> dict[str, Endpoint]:
    """Return every port of the program by its name."""
    host, _, port = ready.api.rpartition("//")[2].rstrip("/").rpartition(":")
    return {
        "smtp": ready.smtp,
        "submission": ready.submission,
        "submissions": ready.submissions,
        "imap": ready.imap,
        "imaps": ready.imaps,
        "api": (host, int(port)),
    }


def dial(endpoint: Endpoint, timeout: float = 10, tls: ssl.SSLContext | None = None) -> socket.socket:
    """Connect from the attacker's address."""
    plain = socket.create_connection(endpoint, timeout, source_address=ATTACKER)
    return tls.wrap_socket(plain, server_hostname=endpoint[0]) if tls else plain


def blind(ready: Ready) -> ssl.SSLContext:
    """Return TLS settings that ask for nothing."""
    context = ready.tls()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def read_until(sock: socket.socket, end: bytes, limit: int = 1 << 20) -> bytes:
    """Read until some bytes come, or the other side closes."""
    data = b""
    while end not in data and len(data) < limit:
        piece = sock.recv(65536)
        if not piece:
            break
        data += piece
    return data


def read_all(sock: socket.socket, seconds: float = 10, limit: int = 1 << 24) -> bytes:
    """Read until the other side closes or says nothing for that long."""
    sock.settimeout(seconds)
    data = b""
    with suppress(*GONE):
        while len(data) < limit and (piece := sock.recv(65536)):
            data += piece
    return data


def pour(endpoint: Endpoint, pieces: Iterable[bytes], total: int, *, tls: ssl.SSLContext | None = None, seconds: float) -> int:
    """Send pieces without reading, over as many connections as it takes; return the bytes the other side's kernel took."""
    sent, end = 0, time.monotonic() + seconds
    source = iter(pieces)
    while sent < total and time.monotonic() < end:
        with suppress(*GONE), dial(endpoint, 5, tls) as sock:
            while sent < total and time.monotonic() < end:
                piece = next(source)
                sock.sendall(piece)
                sent += len(piece)
    return sent


def noise(chance: random.Random) -> Iterator[bytes]:
    """Yield random bytes, endless lines, and junk that looks like lines, in turns."""
    binary = chance.randbytes(1 << 16)
    line = b"A" * (1 << 16)
    lines = b"".join(chance.randbytes(40).translate(None, b"\r\n") + b"\r\n" for _ in range(1500))
    words = b"".join(
        chance.choice([b"EHLO x\r\n", b"a1 NOOP\r\n", b"GET / HTTP/1.1\r\n", b"\r\n", b"* OK\n", b"DATA\r\n"]) for _ in range(9000)
    )
    while True:
        yield from chance.sample([binary, line, lines, words], 4)


@contextmanager
def crowd(endpoint: Endpoint, count: int, tls: ssl.SSLContext | None = None) -> Iterator[list[socket.socket]]:
    """Hold that many connections, or as many as are let in."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            with suppress(*GONE):
                sockets.append(stack.enter_context(dial(endpoint, 5, tls)))
        yield sockets


def trickle(sockets: list[socket.socket], text: bytes, seconds: float) -> int:
    """Send one byte to each at a time, around and around; return how many connections are still open at the end."""
    end = time.monotonic() + seconds
    position = 0
    while time.monotonic() < end:
        for sock in sockets:
            with suppress(*GONE):
                sock.send(text[position % len(text) :][:1])
        position += 1
        time.sleep(0.05)
    return len(sockets)


def at_once(*jobs: Callable[[], object], seconds: float = 120) -> None:
    """Run jobs in threads of their own; a failure in one fails the test."""
    failures: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads), "an attack does not end"
