"""The lines a server puts before a message that passes through: Return-Path, Delivered-To, Received (RFC 5321 §4.4).

One stored content serves every recipient, so Delivered-To and the `for` of Received are written only when the
envelope has a single recipient: otherwise they would tell one recipient of another, whom a Bcc may have hidden.
Delivered-To is for letters that come in: the next server would take it on one that goes out for the sign of a loop.
The stored content begins with Return-Path; `without_return_path` takes it off when the letter goes on to another server.
"""

import re
from email.utils import formatdate
from functools import lru_cache

RETURN_PATH = b"Return-Path:"
_UNSAFE = re.compile(r"[^\x21-\x27\x2a-\x5b\x5d-\x7e\u0080-\U0010ffff]")


def stranger(hello: str, address: str) -> str:
    """Say whom it comes from: what the client called itself, and its true address."""
    literal = f"IPv6:{address}" if ":" in address else address
    return f"{_safe(hello)} ([{literal}])"


def user() -> str:
    """Say that it comes from a user, whose address is nobody's business."""
    return "localhost (authenticated)"


def lines(
    *,
    sender: str,
    recipients: list[str],
    origin: str,
    host: str,
    protocol: str,
    cipher: str = "",
    id: str,
    now: float,
    delivered: bool = True,
) -> bytes:
    """Write the lines, `now` in epoch seconds; `delivered` when the letter ends its journey here."""
    only = recipients[0] if len(recipients) == 1 else ""
    return "".join(
        (
            f"Return-Path: <{sender}>\r\n",
            f"Delivered-To: {only}\r\n" if only and delivered else "",
            f"Received: from {origin}\r\n\tby {host} with {protocol} id {id}",
            f"\r\n\t({cipher})" if cipher else "",
            f"\r\n\tfor <{only}>" if only else "",
            f"; {_date(int(now))}\r\n",
        )
    ).encode()


def without_return_path(raw: bytes) -> bytes:
    """Take off the Return-Path line that a stored content begins with (RFC 5321 §4.4)."""
    if not raw.startswith(RETURN_PATH):
        return raw
    end = raw.find(b"\r\n") + 2
    while raw[end : end + 1] in {b" ", b"\t"}:
        end = raw.find(b"\r\n", end) + 2
    return raw[end:]


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second)


def _safe(word: str) -> str:
    return _UNSAFE.sub("?", word)[:255] or "unknown"
