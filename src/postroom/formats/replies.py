"""Automatic replies, written so that no machine answers them (RFC 3834 §3, RFC 5230 §5)."""

import re
import uuid
from binascii import b2a_qp
from dataclasses import dataclass
from email.header import Header
from email.utils import formatdate

from postroom.formats import fields
from postroom.formats.words import unfold

MAX_REFERENCES = 20
"""Identifiers of earlier letters that a reply names."""
_IDENTIFIER = re.compile(r"<[!-;=?-~]{1,500}>\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply before it is written. `sender` is an address and `name` may stand before it; `original` the Message-ID that is answered.

    With `mime` the text is a part of its own, with a header that says what it is.
    """

    sender: str
    name: str
    recipient: str
    subject: str
    text: str
    original: str = ""
    references: str = ""
    mime: bool = False


def write(reply: Reply, *, now: float) -> bytes:
    """Write a reply; what is taken from the letter it answers cannot add lines. `now` in epoch seconds."""
    thread = [*_identifiers(reply.references), *_identifiers(reply.original)[:1]]
    name = f"{_encoded(reply.name)} <{reply.sender}>" if reply.name else reply.sender
    head = {
        "Date": formatdate(now),
        "From": name,
        "To": reply.recipient,
        "Subject": _encoded(reply.subject),
        "Message-ID": f"<{uuid.uuid4().hex}@{reply.sender.rpartition('@')[2]}>",
        "In-Reply-To": "".join(_identifiers(reply.original)[:1]),
        "References": "\r\n ".join(thread[:1] + thread[1:][-MAX_REFERENCES:]),
        "Auto-Submitted": "auto-replied",
        "Precedence": "bulk",
    }
    lines = "".join(f"{field}: {value}\r\n" for field, value in head.items() if value).encode()
    return lines + (_part(reply.text) if reply.mime else _plain(reply.text))


def _plain(text: str) -> bytes:
    """Write text: as it is, or in quoted-printable where it is not ASCII or has long lines."""
    body = _lines(text.encode("utf-8", "replace"))
    simple = body.isascii() and all(len(line) <= 78 for line in body.split(b"\r\n"))
    encoding = "7bit" if simple else "quoted-printable"
    head = f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return head.encode() + b"\r\n" + (body if simple else _lines(b2a_qp(body, istext=True)))


def _part(text: str) -> bytes:
    """Write a part that has been written elsewhere, with those of its fields that say what it is."""
    raw = _lines(text.encode("utf-8", "replace"))
    if raw.startswith(b"\r\n"):
        raw = b"Content-Type: text/plain; charset=utf-8" + raw
    elif b"\r\n\r\n" not in raw:
        return _plain(text)
    head = [raw[start:end] for start, end in fields.every(raw) if raw[start:end].lower().startswith((b"content-",))]
    return b"MIME-Version: 1.0\r\n" + b"".join(head) + b"\r\n" + raw.partition(b"\r\n\r\n")[2]


def _identifiers(value: str) -> list[str]:
    """Find the identifiers in a field."""
    words = unfold(value.encode("utf-8", "replace")).decode("utf-8", "replace").split()[:200]
    return [word for word in words if _IDENTIFIER.match(word)]


def _encoded(text: str) -> str:
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:500]).split())
    return plain if plain.isascii() else Header(plain, "utf-8").encode(linesep="\r\n")


def _lines(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
