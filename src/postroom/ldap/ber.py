"""BER as LDAP restricts it: definite lengths, tags of one octet (RFC 4511 §5.1)."""

from collections.abc import Iterator
from itertools import islice

BOOLEAN, INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
LONGEST_LENGTH = 4
"""Octets of a length that says how many follow."""
FEW = 16


class Malformed(Exception):
    """These octets are not what they should be."""


def wrap(tag: int, *parts: bytes) -> bytes:
    """Put contents under a tag."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Write a number of 0 or more."""
    return wrap(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes | str, tag: int = OCTETS) -> bytes:
    """Write octets, or a text in UTF-8."""
    return wrap(tag, value.encode() if isinstance(value, str) else value)


def boolean(value: bool, tag: int = BOOLEAN) -> bytes:
    """Write a truth value."""
    return wrap(tag, b"\xff" if value else b"\x00")


def head(data: bytes | bytearray, at: int = 0) -> tuple[int, int, int] | None:
    """Read a tag and a length: (tag, where its contents begin, where they end); None while octets are missing. Raises `Malformed`."""
    if len(data) < at + 2:
        return None
    tag, first = data[at], data[at + 1]
    if tag & 0x1F == 0x1F:
        raise Malformed("a tag of several octets")
    if first < 0x80:
        return tag, at + 2, at + 2 + first
    count = first & 0x7F
    if not 0 < count <= LONGEST_LENGTH:
        raise Malformed("a length without a bound")
    start = at + 2 + count
    return None if len(data) < start else (tag, start, start + int.from_bytes(data[at + 2 : start], "big"))


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk over what stands one after the other: (tag, contents). Raises `Malformed`."""
    at = 0
    while at < len(data):
        found = head(data, at)
        if found is None or found[2] > len(data):
            raise Malformed("octets are missing")
        tag, start, at = found
        yield tag, data[start:at]


def few(data: bytes) -> list[tuple[int, bytes]]:
    """List what stands one after the other where no message has many; raises `Malformed` before a multitude of nothings takes memory."""
    found = list(islice(parts(data), FEW + 1))
    if len(found) > FEW:
        raise Malformed("too many parts")
    return found


def number(content: bytes) -> int:
    """Read the contents of an INTEGER or ENUMERATED. Raises `Malformed`."""
    if not 0 < len(content) <= 8:
        raise Malformed("a number of impossible size")
    return int.from_bytes(content, "big", signed=True)
