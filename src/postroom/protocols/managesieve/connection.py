"""The framing of one connection: octets in, commands out; literals belong to the command that announces them.

A client sends its literals without being asked (RFC 5804 §4), so one that is too large is read away and its command refused; one
that is much too large ends the connection.
"""

from dataclasses import dataclass

from postroom.protocols.managesieve.grammar import Malformed, Word, read

MAX_LINE = 8_192
MAX_WORDS = 16
SWALLOWED = 16 << 20
"""Octets of a literal that are read away."""


@dataclass(frozen=True, slots=True)
class Words:
    """A command as it was sent: a verb and what is said with it, or the reply to a challenge."""

    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that is none, or that brought too much."""

    text: str
    code: bytes = b""


@dataclass(frozen=True, slots=True)
class Overflow:
    """So much that the connection ends."""

    text: str


class Connection:
    """What has come in and is not yet a command; `literal_limit` is the largest literal that is kept."""

    __slots__ = ("_buffer", "_literal", "_missing", "_refusal", "_scanned", "_words", "literal_limit")

    def __init__(self, literal_limit: int) -> None:
        self.literal_limit = literal_limit
        self._buffer = bytearray()
        self._scanned = 0
        self._clear()

    def _clear(self) -> None:
        self._words: list[Word] = []
        self._literal: bytearray | None = None
        self._missing = 0
        self._refusal: Refusal | None = None

    def receive(self, data: bytes) -> None:
        """Take octets in."""
        self._buffer += data

    @property
    def waiting(self) -> int:
        """How many octets wait."""
        return len(self._buffer)

    def drop(self) -> None:
        """Forget all that has come in (RFC 5804 §2.2)."""
        self._buffer.clear()
        self._scanned = 0
        self._clear()

    def next_event(self) -> Words | Refusal | Overflow | None:
        """Give the next command, or None until more has come in."""
        while True:
            if self._missing and not self._fill():
                return None
            end = self._buffer.find(b"\n", self._scanned)
            if end < 0:
                self._scanned = len(self._buffer)
                return Overflow("This line is too long.") if len(self._buffer) > MAX_LINE else None
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            self._scanned = 0
            event = self._line(line)
            if event is not None:
                return event

    def _line(self, line: bytes) -> Words | Refusal | Overflow | None:
        """Read a line, or the rest of one behind a literal; None when another literal follows, or when there was nothing."""
        try:
            words, size = read(line[1:] if self._words and line.startswith(b" ") else line)
        except Malformed:
            self._refusal, words, size = Refusal("This is no command."), [], None
        self._words += words
        if len(line) > MAX_LINE or len(self._words) > MAX_WORDS or (size or 0) > SWALLOWED:
            return Overflow("This command is too long.")
        if size is not None:
            self._announce(size)
            return None
        event = self._refusal or (Words(tuple(self._words)) if self._words else None)
        self._clear()
        return event

    def _announce(self, size: int) -> None:
        if size > self.literal_limit:
            self._refusal = Refusal("This is too large.", b"QUOTA/MAXSIZE")
        self._missing = size
        self._literal = None if size > self.literal_limit else bytearray()
        if not size:
            self._words.append(b"")

    def _fill(self) -> bool:
        """Take octets of the literal; tells whether it is whole."""
        part = self._buffer[: self._missing]
        del self._buffer[: len(part)]
        self._missing -= len(part)
        if self._literal is not None:
            self._literal += part
        if not self._missing:
            self._words.append(bytes(self._literal or b""))
            self._literal = None
        self._scanned = 0
        return not self._missing
