"""Messages made to hurt: depth, breadth, and headers without end."""

from __future__ import annotations

import imaplib
import smtplib
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.hostile.attacks import GONE, blind, dial, read_all, read_until
from tests.interop.reader import Reader
from tests.program import Ready, User

HEAD = b"From: bob@stranger.test\r\nTo: x@example.test\r\nMIME-Version: 1.0\r\n"


def nested(depth: int) -> bytes:
    """Multipart in multipart in multipart."""
    opening = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth))
    closing = b"".join(b"\r\n--b%d--\r\n" % level for level in reversed(range(depth)))
    return HEAD + opening + b"Content-Type: text/plain\r\n\r\nthe heart of it\r\n" + closing


def letters_in_letters(depth: int) -> bytes:
    return HEAD + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: inmost\r\n\r\nx\r\n"


def many_parts(count: int) -> bytes:
    return (
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * count + b"--b--\r\n"
    )


def never_closed(count: int) -> bytes:
    """Boundaries that are each other's beginnings."""
    names = [b"b" * (number % 60 + 1) for number in range(count)]
    return HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (name, name) for name in names) + b"x\r\n"


FAMILY: dict[str, Callable[[], bytes]] = {
    "nested": lambda: nested(10_000),
    "letters in letters": lambda: letters_in_letters(10_000),
    "many parts": lambda: many_parts(100_000),
    "never closed": lambda: never_closed(10_000),
    "dashes": lambda: HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--\r\n" * 500_000,
    "many headers": lambda: b"X-A: b\r\n" * 1_000_000 + b"\r\nx\r\n",
    "folded header": lambda: HEAD + b"Subject: a\r\n" + b" b\r\n" * 1_000_000 + b"\r\nx\r\n",
    "many addresses": lambda: HEAD + b"Cc: a@b.test" + b",\r\n c@d.test" * 300_000 + b"\r\n\r\nx\r\n",
    "comments in comments": lambda: HEAD + b"Sender: " + b"(" * 400_000 + b"\r\n\r\nx\r\n",
    "quoted strings": lambda: HEAD + b"Sender: " + b'"\\' * 400_000 + b"\r\n\r\nx\r\n",
    "encoded words": lambda: HEAD + b"Subject: " + b"=?utf-8?q?=41?=\r\n " * 200_000 + b"x\r\n\r\nx\r\n",
    "half-encoded words": lambda: HEAD + b"Subject: " + b"=?utf-8?q?" * 200_000 + b"\r\n\r\nx\r\n",
    "parameters": lambda: HEAD + b"Content-Type: text/plain" + b";\r\n a*0*=utf-8''x" * 300_000 + b"\r\n\r\nx\r\n",
    "received": lambda: b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" * 45 + HEAD + b"\r\n" + b"r" * 900 + b"\r\n",
    "html": lambda: HEAD + b"Content-Type: text/html\r\n\r\n" + b"<a" * 3_000_000,
    "base64": lambda: HEAD + b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"=" * 10_000_000 + b"\r\n",
    "no header at all": lambda: b"\r\n" * 1_000_000,
}


def inspect(ready: Ready, user: User, folder: str) -> None:
    """Ask all that a client may ask about the last message of a folder."""
    imap = imaplib.IMAP4_SSL(*ready.imaps, ssl_context=ready.tls(), timeout=60)
    imap.login(user.email, user.password)
    assert imap.select(folder, readonly=True)[0] == "OK"
    began = time.monotonic()
    questions = "(UID FLAGS ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[1.1.1] BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[1.MIME])"
    imap.fetch("*", questions)
    assert imap.search(None, "HEADER", "X-Nothing", '"x"', "FROM", '"nobody"')[0] == "OK"
    assert time.monotonic() - began < 15
    imap.logout()


@pytest.mark.parametrize("kind", FAMILY)
def test_by_append_and_by_smtp(ready, watch, victim, kind):
    """Whatever is accepted is stored as it came, and read within bounded time; a refusal is fine too."""
    marker = f"X-Marker: {uuid.uuid4().hex}\r\n".encode()
    text = marker + FAMILY[kind]()
    folder = f"Family-{kind.replace(' ', '-')}"
    began = time.monotonic()
    with Reader(ready, victim) as reader:
        reader.imap.create(folder)
        accepted = reader.imap.append(folder, None, None, text)[0] == "OK"
    assert time.monotonic() - began < 30
    if accepted:
        with Reader(ready, victim) as reader:
            assert list(reader.letters(folder).values())[-1] == text
        inspect(ready, victim, folder)
    wire = b"\r\n".join(line[:990] for line in text.split(b"\r\n"))
    with suppress(smtplib.SMTPDataError, smtplib.SMTPServerDisconnected), smtplib.SMTP(*ready.smtp, timeout=60) as smtp:
        smtp.sendmail("bob@stranger.test", [victim.email], wire)
        with Reader(ready, victim) as reader:
            reader.await_letter(marker[:-2])
        inspect(ready, victim, "INBOX")
    with Reader(ready, victim) as reader:
        reader.imap.select("INBOX")
        reader.imap.store("1:*", "+FLAGS.SILENT", "(\\Deleted)")
        reader.imap.expunge()


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"X-Endless: " + b"h" * 65_000, b"X-Line: " + b"h" * 60 + b"\r\n", b" folded " + b"h" * 60 + b"\r\n"])
def test_a_header_of_a_hundred_megabytes(ready, watch, victim, line):
    with dial(ready.smtp, 30) as sock:
        for command in (b"EHLO x.test", b"MAIL FROM:<bob@stranger.test>", b"RCPT TO:<%b>" % victim.email.encode(), b"DATA"):
            read_until(sock, b"\r\n")
            sock.sendall(command + b"\r\n")
        answer = read_until(sock, b"354")
        assert b"354" in answer
        piece = line * (1 + 65_536 // len(line))
        answer = b""
        sent = 0
        with suppress(*GONE):
            while sent < 100 << 20:
                sock.sendall(piece)
                sent += len(piece)
            sock.sendall(b"\r\n\r\nbody\r\n.\r\n")
            answer = read_until(sock, b"\r\n")
    assert not answer.startswith(b"250"), answer
    assert sent > 1 << 20


def test_a_hundred_megabytes_in_chunks(ready, watch, victim):
    """BDAT (RFC 3030): a chunk that promises more than the limit, and many small ones."""
    for chunk in (b"BDAT 104857600\r\n", b"BDAT 1048576\r\n"):
        with dial(ready.smtp, 30) as sock, suppress(*GONE):
            read_until(sock, b"\r\n")
            sock.sendall(b"EHLO x.test\r\n")
            if b"CHUNKING" not in read_until(sock, b"\n250 "):
                pytest.skip("no CHUNKING")
            sock.sendall(b"MAIL FROM:<bob@stranger.test>\r\nRCPT TO:<%b>\r\n" % victim.email.encode())
            for _ in range(100):
                sock.sendall(chunk)
                sock.sendall(b"x" * (1 << 20))
            sock.sendall(b"BDAT 0 LAST\r\n")
            assert b"\r\n552" in b"\r\n" + read_all(sock, 5) or chunk.startswith(b"BDAT 104")


def test_an_append_of_everything(ready, watch, victim):
    """APPEND of a gigabyte: refused before it is sent; with LITERAL+ it is sent all the same."""
    with dial(ready.imaps, 30, blind(ready)) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(f'a LOGIN {victim.email} "{victim.password}"\r\n'.encode())
        assert b"a OK" in read_until(sock, b"a OK")
        sock.sendall(b"b APPEND INBOX {1073741824}\r\n")
        answer = read_until(sock, b"\r\n")
        assert not answer.startswith(b"+"), answer
        with suppress(*GONE):
            sock.sendall(b"c APPEND INBOX {1073741824+}\r\n")
            for _ in range(100):
                sock.sendall(b"y" * (1 << 20))
