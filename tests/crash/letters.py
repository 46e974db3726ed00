"""Letters that prove themselves: the marker in the header says what the body must be, to the last byte."""

from __future__ import annotations

import hashlib
import random
import re

_MARKER = re.compile(rb"^X-Marker: (\S+)-(\d+)\r$", re.MULTILINE)


def size(chance: random.Random) -> int:
    """Return a body's size: mostly small, some large enough to be a file of their own."""
    return 300_000 if chance.random() < 0.04 else int(2 ** chance.uniform(8, 14))


def letter(name: str, size: int) -> bytes:
    """Return a letter that nobody else writes."""
    head = f"From: bob@stranger.test\r\nTo: crash@example.test\r\nSubject: {name}\r\nX-Marker: {name}-{size}\r\n\r\n"
    return head.encode() + _body(name, size)


def read(raw: bytes) -> str | None:
    """Return the name of a letter that is whole; None when it is none of ours or damaged."""
    head, _, body = raw.partition(b"\r\n\r\n")
    match = _MARKER.search(head + b"\r\n")
    if not match:
        return None
    name = match[1].decode()
    return name if body == _body(name, int(match[2])) else None


def _body(name: str, size: int) -> bytes:
    """Return at least so many bytes of text that no compressor likes, drawn from the name."""
    noise = hashlib.shake_128(name.encode()).digest(size * 3 // 8).hex()
    return "".join(f"{noise[at : at + 76]}\r\n" for at in range(0, len(noise), 76)).encode()
