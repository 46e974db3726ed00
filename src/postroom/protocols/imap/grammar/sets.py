"""Sequence sets: `1:5,9,12:*` (RFC 3501 §9, sequence-set).

A set is a tuple of inclusive ranges of message numbers or UIDs as the client wrote them; `STAR` stands for `*`, the largest
number in use, and only the session's view can say what that is.
"""

import re
from collections.abc import Iterable

from postroom.protocols.imap.grammar.scanner import MAXIMUM_32, Malformed, Scanner

STAR = 0
SequenceSet = tuple[tuple[int, int], ...]

_SET = re.compile(rb"[0-9*:,]+")


def parse(scanner: Scanner) -> SequenceSet:
    """Consume a sequence set."""
    text = scanner.take(_SET, "sequence set")
    return tuple(_range(part) for part in text.split(b","))


def _range(text: bytes) -> tuple[int, int]:
    low, colon, high = text.partition(b":")
    first = _number(low)
    return (first, _number(high) if colon else first)


def _number(text: bytes) -> int:
    if text == b"*":
        return STAR
    if not text.isdigit() or len(text) > 10:
        raise Malformed("invalid sequence set")
    value = int(text)
    if not 0 < value <= MAXIMUM_32:
        raise Malformed("invalid sequence set")
    return value


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Join ascending numbers to inclusive ranges."""
    found: list[tuple[int, int]] = []
    low = high = -1
    for number in numbers:
        if number == high + 1 and high >= 0:
            high = number
            continue
        if high >= 0:
            found.append((low, high))
        low = high = number
    if high >= 0:
        found.append((low, high))
    return found


def render(numbers: Iterable[int]) -> bytes:
    """Write ascending numbers as a sequence set."""
    return b",".join(b"%d" % low if low == high else b"%d:%d" % (low, high) for low, high in ranges(numbers))
