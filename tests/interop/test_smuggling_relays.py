"""SMTP smuggling through other servers: whatever an attacker ends a line or a letter with, one letter in is one letter out.

Letters with odd endings go through Postfix, Exim and OpenSMTPD to Postroom, and through Postroom to them; behind DATA, and in chunks and pipelines
under STARTTLS.
"""

from __future__ import annotations

import base64
import socket
import ssl
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.hostile.attacks import read_until
from tests.hostile.test_smuggling import ENDINGS
from tests.interop.laboratory import Laboratory, open_laboratory
from tests.interop.reader import Reader
from tests.program import User, hire

PEERS = ["postfix", "exim", "opensmtpd"]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with open_laboratory(tmp_path_factory.mktemp("smuggling")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pair(laboratory: Laboratory) -> tuple[User, User]:
    """Return who gets the letter, and who is to get the smuggled one."""
    return hire(laboratory.ready, "outer"), hire(laboratory.ready, "inner")


def converse(sock: socket.socket, commands: list[bytes]) -> None:
    """Say the commands, each after the answer to the one before."""
    read_until(sock, b"\r\n")
    for command in commands:
        sock.sendall(command + b"\r\n")
        answer = read_until(sock, b"\r\n")
        while answer.rsplit(b"\r\n", 2)[-2][3:4] == b"-":
            answer += read_until(sock, b"\r\n")


def ending(sock: socket.socket) -> None:
    """Say goodbye and wait for the answer, or for the other's hanging up."""
    sock.sendall(b"QUIT\r\n")
    sock.settimeout(10)
    said = b""
    with suppress(TimeoutError, ConnectionError):
        while not any(line[:4] in {b"221 ", b"421 ", b"521 "} for line in said.split(b"\r\n")):
            block = sock.recv(65536)
            said += block
            if not block:
                return


def octets(sender: bytes, smuggled_to: bytes, end: bytes, marker: bytes) -> bytes:
    outer = b"From: <%b>\r\nSubject: outer\r\nMessage-ID: <%b@outer.test>\r\nX-Marker: %b\r\n\r\nhello" % (sender, marker, marker)
    inner = b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\nFrom: <ceo@bank.test>\r\nSubject: inner\r\nX-Inner: %b\r\n\r\npay" % (sender, smuggled_to, marker)
    return outer + end + inner + b"\r\n.\r\n"


@pytest.mark.parametrize("name", PEERS)
def test_nothing_is_smuggled_through_them_to_us(laboratory: Laboratory, pair: tuple[User, User], name: str) -> None:
    outer, inner = pair
    sender = f"bob@{laboratory.domains[name]}".encode()
    markers = [uuid.uuid4().hex.encode() for _ in ENDINGS]
    for end, marker in zip(ENDINGS, markers, strict=True):
        with socket.create_connection((laboratory.peers[name].address, 25), 10) as sock:
            converse(sock, [b"EHLO x.test", b"MAIL FROM:<%b>" % sender, b"RCPT TO:<%b>" % outer.email.encode(), b"DATA"])
            sock.sendall(octets(sender, inner.email.encode(), end, marker))
            ending(sock)
    last = uuid.uuid4().hex.encode()
    with socket.create_connection((laboratory.peers[name].address, 25), 10) as sock:
        converse(sock, [b"EHLO x.test", b"MAIL FROM:<%b>" % sender, b"RCPT TO:<%b>" % outer.email.encode(), b"RCPT TO:<%b>" % inner.email.encode(), b"DATA"])
        sock.sendall(b"From: <%b>\r\nSubject: last\r\n\r\n%b\r\n.\r\n" % (sender, last))
        ending(sock)
    with Reader(laboratory.ready, inner) as reader:
        reader.await_letter(last)
        smuggled = [marker for marker in markers if any(marker in letter for letter in reader.letters().values())]
    with Reader(laboratory.ready, outer) as reader:
        reader.await_letter(last)
        letters = list(reader.letters().values())
    through = [end for end, marker in zip(ENDINGS, markers, strict=True) if marker in smuggled]
    assert set(through) <= KNOWN[name], f"{name} lets {through} through"
    for end, marker in zip(ENDINGS, markers, strict=True):
        assert len([letter for letter in letters if marker in letter]) <= 1, end
    assert not any(b"\n" in letter.replace(b"\r\n", b"") or b"\r" in letter.replace(b"\r\n", b"") for letter in letters)


KNOWN: dict[str, set[bytes]] = {"postfix": {b"\r\r\n.\r\n\r\n"}, "exim": set(), "opensmtpd": set()}
"""What they themselves take for the end of a letter: this one is CRLF.CRLF, after a CR that Postfix puts up with and others do not."""


@pytest.mark.parametrize("name", PEERS)
def test_nothing_is_smuggled_through_us_to_them(laboratory: Laboratory, pair: tuple[User, User], name: str) -> None:
    author, peer = pair[0], laboratory.peers[name]
    recipient, victim = f"bob@{laboratory.domains[name]}".encode(), f"carol@{laboratory.domains[name]}".encode()
    markers = [uuid.uuid4().hex.encode() for _ in ENDINGS]
    context = ssl.create_default_context(cafile=laboratory.ready.ca_file)
    context.check_hostname = False
    login = base64.b64encode(f"\0{author.email}\0{author.password}".encode())
    begin = [b"EHLO x.test", b"AUTH PLAIN " + login, b"MAIL FROM:<%b>" % author.email.encode(), b"RCPT TO:<%b>" % recipient]
    for end, marker in zip(ENDINGS, markers, strict=True):
        with context.wrap_socket(socket.create_connection(laboratory.ready.submissions, 10)) as sock:
            converse(sock, [*begin, b"DATA"])
            sock.sendall(octets(author.email.encode(), victim, end, marker))
            ending(sock)
    last = uuid.uuid4().hex.encode()
    with context.wrap_socket(socket.create_connection(laboratory.ready.submissions, 10)) as sock:
        converse(sock, [*begin, b"RCPT TO:<%b>" % victim, b"DATA"])
        sock.sendall(b"From: <%b>\r\nSubject: last\r\n\r\n%b\r\n.\r\n" % (author.email.encode(), last))
        ending(sock)
    peer.await_letter("carol", last)
    peer.await_letter("bob", last)
    assert not any(marker in letter for marker in markers for letter in peer.letters("carol"))
    for end, marker in zip(ENDINGS, markers, strict=True):
        assert len([letter for letter in peer.letters("bob") if marker in letter]) <= 1, end


def under_tls(sock: socket.socket, name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Greet, and go on under STARTTLS."""
    converse(sock, [b"EHLO x.test"])
    sock.sendall(b"STARTTLS\r\n")
    assert read_until(sock, b"\r\n").startswith(b"220"), name
    return context.wrap_socket(sock)


def chunked(sender: bytes, recipient: bytes, content: bytes) -> bytes:
    """Write a whole dialogue in one go: EHLO, an envelope, a chunk that ends within the content, one with the rest, and goodbye."""
    middle = len(content) // 2
    chunks = b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (middle, content[:middle], len(content) - middle, content[middle:])
    return b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\n" % (sender, recipient) + chunks


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_nothing_is_smuggled_in_chunks_under_starttls_through_them_to_us(laboratory: Laboratory, pair: tuple[User, User], name: str) -> None:
    outer, inner = pair
    sender = f"bob@{laboratory.domains[name]}".encode()
    markers = [uuid.uuid4().hex.encode() for _ in ENDINGS]
    context = ssl._create_unverified_context()
    for end, marker in zip([*ENDINGS, b""], [*markers, last := uuid.uuid4().hex.encode()], strict=True):
        with socket.create_connection((laboratory.peers[name].address, 25), 10) as plain, under_tls(plain, name, context) as sock:
            sock.sendall(b"EHLO x.test\r\n")
            read_until(sock, b"\n250 ")
            sock.sendall(chunked(sender, outer.email.encode(), octets(sender, inner.email.encode(), end, marker)))
            ending(sock)
    with socket.create_connection((laboratory.peers[name].address, 25), 10) as sock:
        converse(sock, [b"EHLO x.test", b"MAIL FROM:<%b>" % sender, b"RCPT TO:<%b>" % inner.email.encode(), b"DATA"])
        sock.sendall(b"From: <%b>\r\nSubject: last\r\n\r\n%b to the other\r\n.\r\n" % (sender, last))
        ending(sock)
    with Reader(laboratory.ready, outer) as reader:
        reader.await_letter(last)
        letters = list(reader.letters().values())
    with Reader(laboratory.ready, inner) as reader:
        reader.await_letter(last, b"to the other")
        assert not any(marker in letter for marker in markers for letter in reader.letters().values())
    for end, marker in zip(ENDINGS, markers, strict=True):
        assert len([letter for letter in letters if marker in letter]) <= 1, end
    assert not any(b"\n" in letter.replace(b"\r\n", b"") or b"\r" in letter.replace(b"\r\n", b"") for letter in letters)


@pytest.mark.parametrize("name", PEERS)
def test_nothing_is_smuggled_in_chunks_under_starttls_through_us_to_them(laboratory: Laboratory, pair: tuple[User, User], name: str) -> None:
    author, peer = pair[0], laboratory.peers[name]
    recipient, victim = f"bob@{laboratory.domains[name]}".encode(), f"carol@{laboratory.domains[name]}".encode()
    markers = [uuid.uuid4().hex.encode() for _ in ENDINGS]
    context = ssl._create_unverified_context()
    login = b"EHLO x.test\r\nAUTH PLAIN " + base64.b64encode(f"\0{author.email}\0{author.password}".encode()) + b"\r\n"
    for end, marker in zip([*ENDINGS, b""], [*markers, last := uuid.uuid4().hex.encode()], strict=True):
        with socket.create_connection(laboratory.ready.submission, 10) as plain, under_tls(plain, "us", context) as sock:
            sock.sendall(login)
            read_until(sock, b"\n235 ")
            sock.sendall(chunked(author.email.encode(), recipient, octets(author.email.encode(), victim, end, marker)))
            ending(sock)
    peer.await_letter("bob", last)
    with context.wrap_socket(socket.create_connection(laboratory.ready.submissions, 10)) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(login)
        read_until(sock, b"\n235 ")
        sock.sendall(chunked(author.email.encode(), victim, b"From: <%b>\r\nSubject: last\r\n\r\n%b\r\n" % (author.email.encode(), last)))
        ending(sock)
    peer.await_letter("carol", last)
    assert not any(marker in letter for marker in markers for letter in peer.letters("carol"))
    for end, marker in zip(ENDINGS, markers, strict=True):
        assert len([letter for letter in peer.letters("bob") if marker in letter]) <= 1, end
