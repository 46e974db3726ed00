"""Letters as the world writes them: a seeded family of messages, every one with CRLF line endings and a marker of its own."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable

CRLF = b"\r\n"


def letters(count: int, seed: int = 7) -> list[bytes]:
    """Return that many letters; the same for the same seed."""
    chance = random.Random(seed)
    return [_KINDS[number % len(_KINDS)](chance, b"<letter-%d-%d@letters.test>" % (seed, number)) for number in range(count)]


def _words(chance: random.Random, count: int) -> bytes:
    return b" ".join("".join(chance.choices(string.ascii_lowercase, k=chance.randint(1, 11))).encode() for _ in range(count))


def _text(chance: random.Random, lines: int) -> bytes:
    return b"".join(_words(chance, chance.randint(0, 12)) + CRLF for _ in range(lines))


def _head(chance: random.Random, identity: bytes, *more: bytes) -> bytes:
    fields = [
        b"From: Bob Stranger <bob@stranger.test>",
        b"To: =?utf-8?q?J=C3=B6rg?= <joerg@letters.test>, undisclosed:;",
        b"Subject: " + _words(chance, 5),
        b"Date: Mon, %d Nov 2026 %02d:%02d:00 +0100" % (chance.randint(1, 28), chance.randint(0, 23), chance.randint(0, 59)),
        b"Message-ID: " + identity,
        *more,
    ]
    return CRLF.join(fields) + CRLF + CRLF


def _plain(chance: random.Random, identity: bytes) -> bytes:
    return _head(chance, identity) + _text(chance, chance.randint(1, 200))


def _eight_bit(chance: random.Random, identity: bytes) -> bytes:
    head = _head(chance, identity, b"MIME-Version: 1.0", b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: 8bit")
    return head + "Grüße aus Köln. 世界 \U0001f4ec\r\n".encode() * chance.randint(1, 40)


def _latin(chance: random.Random, identity: bytes) -> bytes:
    """Make bytes that are no UTF-8, in the header too."""
    head = _head(chance, identity, "Comments: Müßiggang".encode("latin-1"), b"Content-Type: text/plain; charset=iso-8859-1")
    return head + bytes(chance.randint(0xA0, 0xFF) for _ in range(60)) + CRLF


def _attachment(chance: random.Random, identity: bytes) -> bytes:
    boundary = b"=_%016x" % chance.getrandbits(64)
    data = base64.encodebytes(chance.randbytes(chance.randint(1, 60_000))).replace(b"\n", CRLF)
    head = _head(chance, identity, b"MIME-Version: 1.0", b'Content-Type: multipart/mixed;\r\n\tboundary="' + boundary + b'"')
    return (
        head
        + b"This is a message in MIME format."
        + b"\r\n--%s\r\nContent-Type: text/plain\r\n\r\n%s" % (boundary, _text(chance, 5))
        + b"\r\n--%s\r\nContent-Type: application/octet-stream; name*=utf-8''gr%%C3%%BC%%C3%%9Fe.bin\r\n" % boundary
        + b"Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--%s--\r\nepilogue" % (data, boundary)
    )


def _forwarded(chance: random.Random, identity: bytes) -> bytes:
    inner = _eight_bit(chance, b"<inner-" + identity[1:])
    head = _head(chance, identity, b"MIME-Version: 1.0", b"Content-Type: multipart/digest; boundary=b1")
    return head + b"--b1\r\n\r\n" + inner + b"\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b1--\r\n"


def _long_header(chance: random.Random, identity: bytes) -> bytes:
    folded = CRLF.join(b"\t<%032x@references.test>" % chance.getrandbits(128) for _ in range(150))
    return _head(chance, identity, b"References:" + CRLF + folded, b"X-Long: " + b"l" * 980) + _text(chance, 2)


def _empty(chance: random.Random, identity: bytes) -> bytes:
    return _head(chance, identity)


def _dots_and_spaces(chance: random.Random, identity: bytes) -> bytes:
    lines = [b".", b"..", b".hidden", b"trailing blanks  \t ", b"", b"", b"From the start of a line", b">From quoted", b"\ttab", b"-- "]
    chance.shuffle(lines)
    return _head(chance, identity) + CRLF.join(lines) + CRLF


def _unended(chance: random.Random, identity: bytes) -> bytes:
    """Make a last line with no line ending."""
    return _head(chance, identity) + _text(chance, 3) + b"no end of line here"


def _long_line(chance: random.Random, identity: bytes) -> bytes:
    return _head(chance, identity) + b"w" * chance.randint(1000, 20_000) + CRLF + b"after" + CRLF


def _broken_mime(chance: random.Random, identity: bytes) -> bytes:
    head = _head(chance, identity, b"Content-Type: multipart/mixed; boundary=never", b"Content-Type: text/html", b"NoColonHere")
    return head + b"<p>the boundary never comes" + CRLF


_KINDS: list[Callable[[random.Random, bytes], bytes]] = [
    _plain,
    _eight_bit,
    _latin,
    _attachment,
    _forwarded,
    _long_header,
    _empty,
    _dots_and_spaces,
    _unended,
    _long_line,
    _broken_mime,
]
