"""Find the fields of a header, in place."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from postroom.formats.scanner import header_end
from postroom.formats.words import unfold

_END = re.compile(rb"\n(?![ \t])")


def spans(raw: bytes, names: Sequence[str], start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
    """Give start and end of every field of those names (in any case), in order; folds and line end belong to it.

    Without `stop` the header is the message's own.
    """
    if stop is None:
        stop = header_end(raw, start, len(raw))
    at_first, at_later = _patterns(tuple(names))
    match = at_first.match(raw, start, stop)
    begin = start
    while match or (match := at_later.search(raw, begin, stop)):
        begin = match.start(1)
        end = _field_end(raw, begin, stop)
        yield begin, end
        begin, match = end - 1, None


@lru_cache(maxsize=256)
def _patterns(names: tuple[str, ...]) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Compile what finds these names: where a header starts, and behind a line's end."""
    name = b"((?:" + b"|".join([re.escape(name.encode("utf-8", "replace")) for name in names]) + rb")[ \t]*+:)"
    return re.compile(name, re.IGNORECASE), re.compile(rb"\n" + name, re.IGNORECASE)


def _field_end(raw: bytes, start: int, stop: int) -> int:
    end = _END.search(raw, start, stop)
    return end.end() if end else stop


def every(raw: bytes) -> Iterator[tuple[int, int]]:
    """Give start and end of every line of a message's header with its folds, the empty line left out."""
    start, stop = 0, header_end(raw, 0, len(raw))
    while start < stop:
        end = _field_end(raw, start, stop)
        if raw[start:end] not in (b"\r\n", b"\n"):
            yield start, end
        start = end


def value(raw: bytes, start: int, end: int) -> bytes:
    """Give the unfolded value of the field that lies there."""
    return unfold(raw[start:end].partition(b":")[2])
