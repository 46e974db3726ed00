"""Garbage, crowds and unread answers: others are served meanwhile, and memory stays small."""

from __future__ import annotations

import random
import re
import socket
import ssl
import time
import urllib.request
from contextlib import ExitStack, suppress

import pytest

from tests.hostile.attacks import GONE, at_once, blind, crowd, dial, noise, ports, pour, read_all, read_until, trickle

SHARE = 1 << 30
"""Octets for each port."""
SECONDS = 300.0
RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""SO_LINGER for zero seconds."""
NAMES = ["smtp", "submission", "submissions", "imap", "imaps", "api"]


@pytest.mark.slow
def test_garbage_to_every_port(ready, watch):
    """A gigabyte each, all six at once, over as many connections as it takes."""
    sent: dict[str, int] = {}

    def attack(name: str) -> None:
        sent[name] = pour(ports(ready)[name], noise(random.Random(name)), SHARE, seconds=SECONDS)

    at_once(*(lambda name=name: attack(name) for name in NAMES), seconds=SECONDS + 60)
    print({name: f"{count >> 20} MiB" for name, count in sent.items()})
    assert all(count >= SHARE for count in sent.values()), sent


@pytest.mark.slow
@pytest.mark.parametrize("name", ["submissions", "imaps"])
def test_garbage_inside_tls(ready, watch, name):
    sent = pour(ports(ready)[name], noise(random.Random(name)), SHARE, tls=blind(ready), seconds=SECONDS)
    assert sent >= SHARE


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("smtp", b"EHLO " + b"x" * 400),
        ("submission", b"EHLO " + b"x" * 400),
        ("submissions", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 400),
        ("imap", b"a1 LOGIN " + b"y" * 400),
        ("imaps", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 400),
        ("api", b"POST / HTTP/1.1\r\nHost: x\r\n" + b"X-Header: y\r\n" * 40),
    ],
)
def test_slow_loris(ready, watch, name, text):
    """A hundred and fifty clients, each a byte at a time."""
    with crowd(ports(ready)[name], 150) as sockets:
        trickle(sockets, text, 5)


@pytest.mark.parametrize("name", NAMES)
def test_silent_crowd(ready, watch, name):
    """Connections that say nothing at all, then leave without a word."""
    with crowd(ports(ready)[name], 300):
        time.sleep(2)


def open_connections(ready) -> float:
    """Return how many mail connections the program counts."""
    with urllib.request.urlopen(f"{ready.api}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if re.match(r"postroom_(imap|smtp)_connections[{ ]", line))


@pytest.mark.parametrize(
    ("name", "upgrade"), [("smtp", b"EHLO x\r\nSTARTTLS\r\n"), ("imap", b"a STARTTLS\r\n"), ("submissions", b""), ("imaps", b"")]
)
@pytest.mark.parametrize("end", ["close", "reset", "junk"])
def test_handshakes_that_break_off_leave_nothing(ready, name, upgrade, end):
    with crowd(ports(ready)[name], 20) as sockets:
        for sock in sockets:
            if upgrade:
                read_until(sock, b"\r\n")
                sock.sendall(upgrade)
                read_until(sock, b"220 2.0.0" if name == "smtp" else b"a OK")
            if end == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if end == "junk":
                sock.sendall(b"this is no handshake" * 10)
                read_all(sock, 5)
    until = time.monotonic() + 10
    while (left := open_connections(ready)) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == 0


@pytest.mark.parametrize("name", ["submissions", "imaps"])
def test_half_open_handshakes(ready, watch, name):
    """A real ClientHello and then silence; and one that is cut in the middle."""
    context = blind(ready)
    hello = ssl.MemoryBIO()
    talk = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        talk.do_handshake()
    record = hello.read()
    with crowd(ports(ready)[name], 200) as sockets:
        for number, sock in enumerate(sockets):
            with suppress(*GONE):
                sock.sendall(record if number % 2 else record[: len(record) // 2])
        time.sleep(3)


@pytest.mark.parametrize(("name", "upgrade"), [("smtp", b"EHLO x\r\nSTARTTLS\r\n"), ("imap", b"a STARTTLS\r\n")])
def test_half_open_upgrades(ready, watch, name, upgrade):
    """STARTTLS, and then no handshake."""
    with crowd(ports(ready)[name], 150) as sockets:
        for sock in sockets:
            with suppress(*GONE):
                sock.sendall(upgrade)
        time.sleep(3)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("smtp", b"NOOP\r\n"),
        ("smtp", b"EHLO stranger.test\r\n"),
        ("smtp", b"\r\n"),
        ("imap", b"a CAPABILITY\r\n"),
        ("imap", b"a BAD COMMAND\r\n"),
        ("api", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    ],
)
def test_commands_without_reading_the_answers(ready, watch, name, command):
    """As many as the other side takes; answers must not heap up in memory."""
    piece = command * (65536 // len(command))
    with ExitStack() as stack:
        for _ in range(4):
            sock = stack.enter_context(dial(ports(ready)[name], 1))
            sent, end = 0, time.monotonic() + 2
            with suppress(*GONE):
                while time.monotonic() < end and sent < 32 << 20:
                    sent += sock.send(piece)
        time.sleep(1)


def test_fetches_without_reading_the_answers(ready, watch, victim):
    """Big messages asked for again and again by somebody who never reads."""
    with dial(ready.imaps, 30, blind(ready)) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(f'a LOGIN {victim.email} "{victim.password}"\r\n'.encode())
        assert b"a OK" in read_until(sock, b"a ")
        body = b"Subject: heavy\r\n\r\n" + (b"z" * 76 + b"\r\n") * 130_000
        sock.sendall(b"b CREATE Heavy\r\n")
        read_until(sock, b"b ")
        sock.sendall(b"c APPEND Heavy {%d+}\r\n%b\r\n" % (len(body), body))
        assert b"c OK" in read_until(sock, b"c OK")
    with ExitStack() as stack:
        for _ in range(5):
            sock = stack.enter_context(dial(ready.imaps, 30, blind(ready)))
            read_until(sock, b"\r\n")
            sock.sendall(f'a LOGIN {victim.email} "{victim.password}"\r\nb SELECT Heavy\r\n'.encode())
            read_until(sock, b"b OK")
            sock.settimeout(1)
            with suppress(*GONE):
                sock.sendall(b"".join(b"c%d UID FETCH 1:* (BODY.PEEK[] BODY.PEEK[TEXT] RFC822)\r\n" % number for number in range(200)))
        time.sleep(4)


def test_connections_torn_down_with_resets(ready, watch):
    """A thousand connections that end in a reset in the middle of something."""
    for number in range(1000):
        name = NAMES[number % len(NAMES)]
        with suppress(*GONE), dial(ports(ready)[name], 5) as sock:
            sock.send(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\n" if name == "smtp" else b"a1 CAPABILITY\r\n{10")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
