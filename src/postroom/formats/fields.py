"""Walk a header field by field, in place."""

import re
from collections.abc import Iterator

from postroom.formats.scanner import header_end
from postroom.formats.words import unfold

_END = re.compile(rb"\n(?![ \t])")


def walk(raw: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Give each field of a header as lower case name, start and end; folds and line end belong to it.

    Without `stop` the header is the message's own. Lines that are no field are left out.
    """
    if stop is None:
        stop = header_end(raw, start, len(raw))
    at = start
    for end in _ends(raw, start, stop):
        colon = raw.find(b":", at, end)
        if colon > at:
            yield raw[at:colon].rstrip(b" \t").lower(), at, end
        at = end


def _ends(raw: bytes, start: int, stop: int) -> Iterator[int]:
    end = start
    for match in _END.finditer(raw, start, stop):
        end = match.end()
        yield end
    if end < stop:
        yield stop


def value(raw: bytes, start: int, end: int) -> bytes:
    """Give the unfolded value of the field that lies there."""
    return unfold(raw[start:end].partition(b":")[2])
