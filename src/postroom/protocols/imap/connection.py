r"""The bytes of one connection, in the order they come: lines, literals, commands; no sockets and no clock.

Feed bytes with `receive`, then ask `next_event` until it gives None. Only one command is taken at a time, so a caller that
is busy leaves the rest unparsed and can stop reading when `waiting` grows. Nothing a client sends raises; it becomes

- `Order`: a command, typed, to be carried out;
- `Prompt`: the client waits for leave to send a literal;
- `Refusal`: not a command, or too much of one; what to answer;
- `Reply`: the line that was asked for with `ask` (AUTHENTICATE, IDLE);
- `Overflow`: an endless line or a literal nobody may send before signing in: say goodbye.

A literal that is refused was either announced with `{n}`, then the client never sends it, or with `{n+}` (RFC 7888), then its
bytes and the rest of the command are read and dropped. Literals of an APPEND may be as large as a message and go to a
spool, a file the caller gives, when they are large or memory is short; all others are small. What all connections together
hold of them is bounded by one `Room`.
"""

import re
from dataclasses import dataclass

from postroom.protocols.imap.grammar.commands import Command
from postroom.protocols.imap.grammar.parse import TAG, parse
from postroom.protocols.imap.grammar.scanner import Malformed, Scanner
from postroom.protocols.imap.literals import Literal, Room

_ANNOUNCED = re.compile(rb"\{([0-9]{1,10})(\+?)\}$")
_APPEND = re.compile(rb"[^ ]+ append (?!\{[0-9]+\+?\}\Z)", re.IGNORECASE)
"""A command whose next literal may be a message; the first of an APPEND may be the mailbox's name."""
_LINE_ENDS = re.compile(rb"[\r\n]+")
_EMPTY = b""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. A command's text and small literals together stay within `command`.

    `patient` says whether to read on, dropping bytes, after something too large, or to end the connection.
    """

    line: int = 65536
    literal: int = 65536
    command: int = 1 << 20
    message: int = 40 << 20
    memory: int = 256 << 10
    literals: int = 500
    patient: bool = True


STRANGER = Limits(line=8192, literal=4096, command=16384, message=4096, literals=4, patient=False)


@dataclass(frozen=True, slots=True)
class Order:
    """A command with its tag."""

    tag: bytes
    command: Command


@dataclass(frozen=True, slots=True)
class Prompt:
    """The client waits for leave to send a literal."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What to answer to something that is no command; `tag` is `*` when none could be read."""

    tag: bytes
    status: bytes
    code: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The line that was asked for."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Overflow:
    """The client sends what cannot be waited for; the connection should end."""

    text: str


Event = Order | Prompt | Refusal | Reply | Overflow
PROMPT = Prompt()


class Connection:
    """What has come in and is not yet a command."""

    __slots__ = (
        "_asked",
        "_at",
        "_buffer",
        "_drop",
        "_held",
        "_limits",
        "_literals",
        "_refusal",
        "_room",
        "_seen",
        "_skip",
        "_text",
    )

    def __init__(self, limits: Limits, room: Room) -> None:
        self._limits = limits
        self._room = room
        self._buffer: bytes = _EMPTY
        self._at = 0
        self._seen = 0
        self._text: bytes = _EMPTY
        self._literals: tuple[Literal, ...] = ()
        self._held: tuple[Literal, ...] = ()
        self._drop = 0
        self._skip = False
        self._refusal: Refusal | None = None
        self._asked = False

    @property
    def waiting(self) -> int:
        """The number of bytes not yet looked at."""
        return len(self._buffer) - self._at

    @property
    def reserves(self) -> bool:
        """Say whether room is kept for a literal that is still to come."""
        return bool(self._literals) and self._literals[-1].missing > 0

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._buffer = self._buffer[self._at :] + data if self.waiting else data
        self._seen = max(self._seen - self._at, 0)
        self._at = 0

    def widen(self, limits: Limits) -> None:
        """Set other limits, once the client has signed in."""
        self._limits = limits

    def ask(self) -> None:
        """Take the next line as the answer to a question, not as a command."""
        self._asked = True

    def drop(self) -> None:
        """Forget what has come in: after STARTTLS nothing said in clear counts (RFC 3501 §6.2.1)."""
        self._buffer = _EMPTY
        self._at = self._seen = 0

    def release(self) -> None:
        """Free the literals of the last command, once it has been carried out, and ask no more on its behalf."""
        self._asked = False
        for literal in self._held:
            literal.close()
        self._held = ()

    def close(self) -> None:
        """Free everything."""
        self.release()
        for literal in self._literals:
            literal.close()
        self._literals = ()
        self._text = _EMPTY
        self.drop()

    def next_event(self) -> Event | None:
        """Give the next thing the client said, or None until more has come."""
        while self.waiting:
            if self._drop:
                self._discard()
            elif self.reserves:
                self._fill(self._literals[-1])
            else:
                line = self._line()
                if line is None:
                    return self._endless()
                event = self._reply(line) if self._asked else self._piece(line)
                if event is not None:
                    return event
        self.drop()
        return None

    # Bytes

    def _discard(self) -> None:
        size = min(self._drop, self.waiting)
        self._at += size
        self._drop -= size

    def _fill(self, literal: Literal) -> None:
        data = self._buffer[self._at : self._at + literal.missing]
        self._at += len(data)
        literal.feed(data)

    def _line(self) -> bytes | None:
        """Take a line, without its end; a bare line feed ends one too."""
        buffer, start = self._buffer, self._at
        end = buffer.find(b"\n", max(start, self._seen))
        if end < 0:
            self._seen = len(buffer)
            return None
        self._at = end + 1
        return buffer[start : end - 1] if end > start and buffer[end - 1] == 13 else buffer[start:end]

    def _endless(self) -> Event | None:
        """Give up a line that is too long: remember how it began, drop the rest."""
        if self.waiting <= self._limits.line:
            return None
        start = self._text or self._buffer[self._at :]
        self.drop()
        if not self._limits.patient:
            return Overflow("The line is too long.")
        if self._skip or self._asked or self._refusal is not None:
            self._skip = True
            return None
        self._skip = True
        self._refuse(start, b"BAD", b"", "The line is too long.")
        return None

    # Lines

    def _reply(self, line: bytes) -> Event:
        endless = self._skip or len(line) > self._limits.line
        self._asked = self._skip = False
        return Reply(b"*" if endless else line)

    def _piece(self, line: bytes) -> Event | None:
        """Take a line: a whole command, or the part of one before or after a literal."""
        if self._refusal is not None:
            return self._after_refusal(line)
        text = self._text + line
        if len(line) > self._limits.line or len(text) + sum(part.size for part in self._literals) > self._budget():
            return self._refused(text, line, b"BAD", b"", "The command is too long.")
        found = _ANNOUNCED.search(line)
        if found is not None:
            return self._announced(text, line, int(found[1]), not found[2])
        literals, self._literals, self._text = self._literals, (), _EMPTY
        return self._parsed(text, literals)

    def _budget(self) -> int:
        return self._limits.command + (self._limits.message if _APPEND.match(self._text) else 0)

    def _announced(self, text: bytes, line: bytes, size: int, synchronizing: bool) -> Event | None:
        message = bool(_APPEND.match(text))
        limit = self._limits.message if message else self._limits.literal
        if message and self._literals:
            limit -= sum(literal.size for literal in self._literals)
        if size > limit:
            if not self._limits.patient and not synchronizing:
                return Overflow("The literal is too large.")
            return self._refused(text, line, b"NO", b"TOOBIG", "The literal is too large.")
        if len(self._literals) >= self._limits.literals:
            return self._refused(text, line, b"BAD", b"", "The command has too many literals.")
        literal = self._room.literal(size, self._limits.memory)
        if literal is None:
            return self._refused(text, line, b"NO", b"UNAVAILABLE", "The server is busy; try again later.")
        self._text = text + b"\r\n"
        self._literals = (*self._literals, literal)
        return PROMPT if synchronizing else None

    def _parsed(self, text: bytes, literals: tuple[Literal, ...]) -> Event | None:
        if not text:
            self._pass_over_line_ends()
            return None
        tag = TAG.match(text)
        if tag is None or text[tag.end() : tag.end() + 1] != b" ":
            self._free(literals)
            return Refusal(tag[0] if tag else b"*", b"BAD", b"", "A tag and a command are expected.")
        try:
            command = parse(Scanner(text, literals, tag.end() + 1))
        except Malformed as error:
            self._free(literals)
            return Refusal(tag[0], error.status, error.code, error.text)
        self._held = literals
        return Order(tag[0], command)

    def _pass_over_line_ends(self) -> None:
        """Pass over empty lines all at once, however many there are."""
        if found := _LINE_ENDS.match(self._buffer, self._at):
            self._at = found.end()

    # What is refused

    def _refused(self, text: bytes, line: bytes, status: bytes, code: bytes, reason: str) -> Event | None:
        self._refuse(text, status, code, reason)
        return self._after_refusal(line)

    def _refuse(self, text: bytes, status: bytes, code: bytes, reason: str) -> None:
        tag = TAG.match(text[:200])
        self._refusal = Refusal(tag[0] if tag else b"*", status, code, reason)
        self._free(self._literals)
        self._literals, self._text = (), _EMPTY

    def _after_refusal(self, line: bytes) -> Event | None:
        """Drop literals the client sends unasked; answer once the command's end is in sight."""
        self._skip = False
        found = _ANNOUNCED.search(line)
        if found is not None and found[2]:
            self._drop = int(found[1])
            return None
        refusal, self._refusal = self._refusal, None
        return refusal

    def _free(self, literals: tuple[Literal, ...]) -> None:
        for literal in literals:
            literal.close()
