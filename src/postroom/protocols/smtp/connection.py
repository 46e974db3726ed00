"""Octets to events, strictly: the framing of SMTP without any input or output.

Three things may come over the wire: command lines, the content after DATA, and the octets of a BDAT chunk. The
server says which by `expect_content` and `expect_chunk`; everything else is a line. `receive` takes octets in
pieces of any size, `next` gives one event or None when more is needed; the events do not depend on the pieces.

The strictness is one rule: CR and LF exist only as the pair CRLF. So content ends with CRLF.CRLF and nothing
else, and no two servers in a row can disagree on where it ends. A bare CR or LF spoils a message, which is then
read to its true end and refused; one that stands where a lax server would see the end of the content ends the
connection at once (`Smuggling`), for whatever follows was meant as commands for somebody else.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from postroom.protocols.smtp.grammar import LINE_LIMIT

_END: Final = b"\r\n.\r\n"
# what a lax reader could take for the end; a CR at the very end of the octets is not yet known to be bare
_FALSE_END = re.compile(rb"(?:(?<!\r)\n|\r(?!\n))\.(?:\r\n|\n|\r[^\n])|\r\n\.(?:\n|\r[^\n])")


@dataclass(frozen=True, slots=True)
class Line:
    """A command line, or an answer to a challenge, without its CRLF."""

    text: bytes


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is too long, or holds NUL or a bare CR or LF."""

    reason: str


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of a message, dots removed."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The end of the content or of the chunk; `fault` says why the message is spoilt, '' when it is not."""

    fault: str


@dataclass(frozen=True, slots=True)
class Smuggling:
    """Something that a lax server takes for the end of the content."""


Event = Line | BadLine | Content | End | Smuggling


class _Mode(Enum):
    LINES = auto()
    CONTENT = auto()
    CHUNK = auto()


class Connection:
    """The reading side of one connection."""

    __slots__ = ("_bare", "_buffer", "_carry", "_end", "_first", "_left", "_long", "_mode", "_nul", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0  # how much of the buffer has been given out
        self._mode = _Mode.LINES
        self._long = False  # inside a line that is already too long
        self._carry = b""  # octets of the content that cannot be judged alone
        self._first = False  # the virtual CRLF before the first line is still in `_carry`
        self._bare = self._nul = False  # what spoils the message
        self._left = 0
        self._end: End | None = None  # to be given after the piece before it

    @property
    def pending(self) -> int:
        """Octets received and not yet given out."""
        return len(self._buffer) - self._start

    @property
    def reading_message(self) -> bool:
        """Say whether message octets are expected rather than a line."""
        return self._mode is not _Mode.LINES

    def receive(self, octets: bytes) -> None:
        """Add what came over the wire."""
        rest = self._take()
        self._buffer = rest + octets if rest else octets

    def forget(self) -> None:
        """Drop everything received, as after STARTTLS (RFC 3207 §6)."""
        self._take()
        self._long = False

    def expect_content(self) -> None:
        """Read the content of DATA next."""
        self._mode, self._carry, self._first = _Mode.CONTENT, b"\r\n", True
        self._bare = self._nul = False

    def expect_chunk(self, size: int, *, fresh: bool) -> None:
        """Read `size` octets of BDAT next; `fresh` at the first chunk of a message."""
        self._mode, self._left = _Mode.CHUNK, size
        if fresh:
            self._carry, self._bare, self._nul = b"", False, False

    def next(self) -> Event | None:
        """Give the next event, or None when more octets are needed."""
        if self._end:
            end, self._end = self._end, None
            return end
        if self._mode is _Mode.CONTENT:
            return self._content()
        if self._mode is _Mode.CHUNK:
            return self._chunk()
        return self._line()

    def _take(self, size: int | None = None) -> bytes:
        """Give out octets of the buffer, all of them by default."""
        if size is None or size >= self.pending:
            octets = self._buffer[self._start :] if self._start else self._buffer
            self._buffer, self._start = b"", 0
        else:
            octets = self._buffer[self._start : self._start + size]
            self._start += size
        return octets

    def _line(self) -> Event | None:
        end = self._buffer.find(b"\n", self._start)
        if end < 0:
            if self.pending >= LINE_LIMIT:
                self._long = True
                self._start = len(self._buffer) - 1
            return None
        line = self._take(end + 1 - self._start)
        long, self._long = self._long or len(line) > LINE_LIMIT, False
        if not line.endswith(b"\r\n"):
            return BadLine("bare LF")
        if long:
            return BadLine("too long")
        text = line[:-2]
        if b"\r" in text:
            return BadLine("bare CR")
        if b"\0" in text:
            return BadLine("NUL")
        return Line(text)

    def _content(self) -> Event | None:
        if not self.pending:
            return None
        octets = self._carry + self._take()
        end = octets.find(_END)
        seen = octets if end < 0 else octets[: end + len(_END)]
        self._judge(seen)
        if self._bare and _FALSE_END.search(seen):
            self._mode = _Mode.LINES
            return Smuggling()
        if end < 0:
            cut = _undecided(octets)
            self._carry = octets[cut:]
            return self._piece(octets[:cut])
        self._buffer, self._carry, self._mode = octets[len(seen) :], b"", _Mode.LINES
        return self._before(self._piece(seen[:-3]))

    def _before(self, piece: Content | None) -> Event:
        """Give the last piece, if any, and the end after it."""
        end = End(self._fault())
        if piece is None:
            return end
        self._end = end
        return piece

    def _piece(self, octets: bytes) -> Content | None:
        """Remove the dots that transparency added, and the virtual CRLF (RFC 5321 §4.5.2)."""
        if not octets:
            return None
        plain = octets.replace(b"\r\n.", b"\r\n") if b"\r\n." in octets else octets  # looking is four times as fast
        if self._first:
            self._first, plain = False, plain[2:]
        return Content(plain) if plain else None

    def _chunk(self) -> Event | None:
        if self._left and not self.pending:
            return None
        octets = self._take(self._left)
        self._left -= len(octets)
        if octets:
            self._judge(self._carry + octets if self._carry else octets)
            self._carry = b"\r" if octets.endswith(b"\r") else b""
        piece = Content(octets) if octets else None
        if self._left:
            return piece
        self._mode = _Mode.LINES
        return self._before(piece)

    def final_fault(self) -> str:
        """Give the fault of a message whose last chunk has ended: a CR at its very end was bare."""
        return "bare CR or LF" if self._carry else self._fault()

    def _judge(self, octets: bytes) -> None:
        """Note a bare CR or LF or a NUL; a CR at the end is judged with what follows."""
        pairs = octets.count(b"\r\n")
        lone = octets.count(b"\n") != pairs or octets.count(b"\r") - octets.endswith(b"\r") != pairs
        self._bare = self._bare or lone
        self._nul = self._nul or b"\0" in octets

    def _fault(self) -> str:
        return "bare CR or LF" if self._bare else "NUL" if self._nul else ""


def _undecided(octets: bytes) -> int:
    """Find where the last few octets begin that may belong to an end or to a dot-stuffed line.

    At most `CR LF . CR`, the longest true prefix of an end, must wait; nothing waits when no line just ended.
    """
    tail = max(len(octets) - 4, 0)
    starts = [at for at in (octets.find(b"\r", tail), octets.find(b"\n", tail)) if at >= 0]
    if not starts:
        return len(octets)
    start = min(starts)
    return start - 1 if start and octets[start - 1 : start + 1] == b"\r\n" else start
