"""Smuggling by BDAT, by pipelining and behind STARTTLS, at all three doors: what is counted or follows the true end is never a second letter."""

from __future__ import annotations

import base64
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.hostile.attacks import blind, dial, read_all, read_until
from tests.hostile.test_smuggling import ENDINGS
from tests.interop.reader import Reader
from tests.program import Ready, User, hire

PORTS = ["smtp", "submission", "submissions"]


@pytest.fixture(scope="module")
def pair(program) -> tuple[User, User]:
    """Return who gets the letters, and who is to get the smuggled ones."""
    return hire(program.ready, "user12"), hire(program.ready, "user13")


@contextmanager
def greeted(ready: Ready, port: str, user: User) -> Iterator[socket.socket]:
    """Open a connection under TLS on which MAIL is welcome."""
    with dial(getattr(ready, port), 15) as plain:
        if port != "submissions":
            read_until(plain, b"\r\n")
            plain.sendall(b"EHLO x.test\r\n")
            read_until(plain, b"\n250 ")
            plain.sendall(b"STARTTLS\r\n")
            assert read_until(plain, b"\r\n").startswith(b"220")
        with blind(ready).wrap_socket(plain, server_hostname="localhost") as sock:
            if port == "submissions":
                read_until(sock, b"\r\n")
            sock.sendall(b"EHLO x.test\r\n")
            read_until(sock, b"\n250 ")
            if port != "smtp":
                sock.sendall(b"AUTH PLAIN %b\r\n" % base64.b64encode(f"\0{user.email}\0{user.password}".encode()))
                assert read_until(sock, b"\r\n").startswith(b"235")
            yield sock


def parts(ready: Ready, port: str, pair: tuple[User, User], ending: bytes, marker: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a pipelined envelope, a letter with a false end, and what is smuggled behind it."""
    first, second = pair[0].email.encode(), pair[1].email.encode()
    sender = b"bob@stranger.test" if port == "smtp" else first
    envelope = b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\n" % (sender, first)
    outer = b"From: <%b>\r\nSubject: x\r\nX-Outer: %b\r\n\r\nhello" % (sender, marker)
    inner = b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\nFrom: <%b>\r\nX-Inner: %b\r\n\r\npay\r\n.\r\n" % (sender, second, sender, marker)
    return envelope, outer + ending, inner


def whole(letter: bytes, inner: bytes) -> bytes:
    return b"BDAT %d LAST\r\n%b" % (len(letter + inner), letter + inner)


def split_within_the_ending(letter: bytes, inner: bytes) -> bytes:
    head, tail = letter[:-1], letter[-1:] + inner
    return b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (len(head), head, len(tail), tail)


def closed_by_nothing(letter: bytes, inner: bytes) -> bytes:
    return b"BDAT %d\r\n%bBDAT %d\r\n%bBDAT 0 LAST\r\n" % (len(letter), letter, len(inner), inner)


def data_behind_a_chunk(letter: bytes, inner: bytes) -> bytes:
    """DATA is refused after BDAT, and what was to be its content is no command but those that it says."""
    return b"BDAT %d\r\n%bDATA\r\nRSET\r\n" % (len(letter + inner), letter + inner)


def data(letter: bytes, inner: bytes) -> bytes:
    """What follows a DATA that is pipelined with the envelope; `tell` waits for the 354."""
    return b"DATA\r\n" + letter + inner


def tell(sock: socket.socket, envelope: bytes, told: bytes) -> bytes:
    """Say all of it at once, but for the content of DATA; give the answers."""
    before, content = (told[:6], told[6:]) if told.startswith(b"DATA\r\n") else (told, b"")
    sock.sendall(envelope + before)
    if content:
        assert b"354" in read_until(sock, b"354 ")
        sock.sendall(content)
    sock.sendall(b"QUIT\r\n")
    return read_all(sock, 5)


WAYS: list[Callable[[bytes, bytes], bytes]] = [whole, split_within_the_ending, closed_by_nothing, data_behind_a_chunk, data]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("port", PORTS)
def test_no_second_letter_comes_out_of_chunks_or_pipelines(ready: Ready, pair: tuple[User, User], port: str, way: Callable[[bytes, bytes], bytes]) -> None:
    endings = ENDINGS[PORTS.index(port) :: 6] if way is data else ENDINGS  # all of which `test_smuggling` has behind DATA
    markers = [uuid.uuid4().hex.encode() for _ in endings]
    for ending, marker in zip(endings, markers, strict=True):
        envelope, letter, inner = parts(ready, port, pair, ending, marker)
        with greeted(ready, port, pair[0]) as sock:
            tell(sock, envelope, way(letter, inner))
    with Reader(ready, pair[1]) as reader:
        got = list(reader.letters().values())
    assert not any(marker in letter for marker in markers for letter in got)
    with Reader(ready, pair[0]) as reader:
        got = list(reader.letters().values())
    for ending, marker in zip(endings, markers, strict=True):
        found = [letter for letter in got if marker in letter]
        assert len(found) <= 1, (way, ending)
        assert not any(b"\n" in letter.replace(b"\r\n", b"") or b"\r" in letter.replace(b"\r\n", b"") for letter in found), (way, ending)
    if way is whole:
        sane = markers[ENDINGS.index(b"\r\n .\r\n")]
        assert any(sane in letter and b"X-Inner: " + sane in letter.partition(b"\r\n\r\n")[2] for letter in got)


@pytest.mark.parametrize("port", PORTS)
def test_content_that_comes_before_it_is_asked_for_ends_the_connection(ready: Ready, pair: tuple[User, User], port: str) -> None:
    marker = uuid.uuid4().hex.encode()
    envelope, letter, inner = parts(ready, port, pair, b"\r\n.\r\n", marker)
    with greeted(ready, port, pair[0]) as sock:
        sock.sendall(envelope + b"DATA\r\n" + letter + inner + b"QUIT\r\n")
        assert read_all(sock, 5).endswith(b"521 5.5.0 Content before 354\r\n")
    for user in pair:
        with Reader(ready, user) as reader:
            assert not any(marker in letter for letter in reader.letters().values())


UNWANTED = [b"BDAT %d LAST", b"BDAT %d", b"BDAT -%d LAST", b"BDAT 0x%d LAST", b"BDAT %d FIRST", b"BDAT 9999999999999999999999%d LAST", b"BDAT"]


@pytest.mark.parametrize(("port", "command"), [*((port, UNWANTED[0]) for port in PORTS), *(("smtp", command) for command in UNWANTED[1:])])
def test_a_chunk_that_nobody_wants_is_no_commands(ready: Ready, pair: tuple[User, User], port: str, command: bytes) -> None:
    """Neither without a transaction nor with a size that is none."""
    marker = uuid.uuid4().hex.encode()
    _, _, inner = parts(ready, port, pair, b"", marker)
    with greeted(ready, port, pair[0]) as sock:
        sock.sendall((command % len(inner) if b"%d" in command else command) + b"\r\n" + inner + b"QUIT\r\n")
        said = read_all(sock, 5)
    assert said.startswith(b"5"), said
    assert b"354" not in said
    for user in pair:
        with Reader(ready, user) as reader:
            assert not any(marker in letter for letter in reader.letters().values())
