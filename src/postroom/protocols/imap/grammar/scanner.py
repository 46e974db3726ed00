"""Read one command's text from left to right.

The text is what stood on the command's lines; a literal's bytes are kept beside it, so `LOGIN {5}CRLFalice secret` is the
text `LOGIN {5}\r\n secret` and one literal. A line feed can only follow a literal's announcement, so the scanner meets
each `{5}\r\n` in turn and takes the next literal. Every method either consumes what it names or raises `Malformed`;
nothing else is ever raised. Character classes are those of RFC 3501 §9, with two mercies that clients need: quoted
strings may hold 8-bit bytes, and a flag may be spelled in any case.
"""

import re
from typing import Protocol

ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
ASTRING_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\x7f-\xff]+')
LIST_ATOM = re.compile(rb'[^\x00-\x20(){"\\\x7f]+')
QUOTED = re.compile(rb'"([^"\\\r\n\x00]*(?:\\["\\][^"\\\r\n\x00]*)*)"')
LITERAL = re.compile(rb"\{[0-9]{1,10}\+?\}\r\n")
NUMBER = re.compile(rb"[0-9]{1,20}(?![0-9])")
FLAG = re.compile(rb'\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
ESCAPE = re.compile(rb'\\(["\\])')
MAXIMUM_63 = (1 << 63) - 1
MAXIMUM_32 = (1 << 32) - 1


class Malformed(Exception):
    """The text is not a command; `status` and `code` say how to answer."""

    def __init__(self, text: str, status: bytes = b"BAD", code: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.code = code


class Literal(Protocol):
    """A literal's bytes, wherever they are kept."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def read(self) -> bytes:
        """Give all bytes; plain file access for a large one."""

    def close(self) -> None:
        """Free the bytes."""


class Scanner:
    """A place in a command's text."""

    __slots__ = ("at", "literals", "taken", "text")

    def __init__(self, text: bytes, literals: tuple[Literal, ...] = (), at: int = 0) -> None:
        self.text = text
        self.literals = literals
        self.taken = 0
        self.at = at

    def take(self, pattern: re.Pattern[bytes], name: str) -> bytes:
        """Consume what a pattern matches here."""
        found = pattern.match(self.text, self.at)
        if found is None:
            raise Malformed(f"{name} expected")
        self.at = found.end()
        return found[0]

    def peek(self) -> bytes:
        """Look at the next byte; empty at the end."""
        return self.text[self.at : self.at + 1]

    def skip(self, word: bytes) -> bool:
        """Consume these bytes if they come next, in any case."""
        end = self.at + len(word)
        if self.text[self.at : end].upper() != word:
            return False
        self.at = end
        return True

    def expect(self, word: bytes) -> None:
        """Consume exactly these bytes, in any case."""
        if not self.skip(word):
            raise Malformed(f"{word.decode()} expected")

    def space(self) -> None:
        """Consume one space."""
        if self.text[self.at : self.at + 1] != b" ":
            raise Malformed("space expected" if self.at < len(self.text) else "arguments missing")
        self.at += 1

    def end(self) -> None:
        """Make sure that nothing follows; a stray space at the end is forgiven."""
        if self.at < len(self.text) and self.text[self.at :].strip(b" "):
            raise Malformed("too many arguments")

    def atom(self) -> bytes:
        """Consume an atom."""
        return self.take(ATOM, "atom")

    def word(self) -> bytes:
        """Consume an atom, in upper case."""
        return self.take(ATOM, "keyword").upper()

    def number(self) -> int:
        """Consume a number of up to 32 bits."""
        return self._number(MAXIMUM_32)

    def number64(self) -> int:
        """Consume a number of up to 63 bits, as modification sequences are (RFC 7162 §7)."""
        return self._number(MAXIMUM_63)

    def _number(self, maximum: int) -> int:
        value = int(self.take(NUMBER, "number"))
        if value > maximum:
            raise Malformed("number too large")
        return value

    def quoted(self) -> bytes:
        """Consume a quoted string; its value."""
        found = QUOTED.match(self.text, self.at)
        if found is None:
            raise Malformed("string expected")
        self.at = found.end()
        value = found[1]
        return ESCAPE.sub(rb"\1", value) if b"\\" in value else value

    def literal(self) -> Literal:
        """Consume a literal."""
        found = LITERAL.match(self.text, self.at)
        if found is None or self.taken >= len(self.literals):
            raise Malformed("literal expected")
        self.at = found.end()
        self.taken += 1
        return self.literals[self.taken - 1]

    def string(self) -> bytes:
        """Consume a quoted string or a literal; its value."""
        if self.peek() != b"{":
            return self.quoted()
        value = self.literal().read()
        if b"\x00" in value:
            raise Malformed("NUL in a string")
        return value

    def astring(self) -> bytes:
        """Consume an atom or a string; its value."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self.take(ASTRING_ATOM, "string")

    def user_name(self) -> bytes:
        """Consume a user name, which clients leave without quotes whatever is in it, be it a star."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self.take(LIST_ATOM, "string")

    def list_mailbox(self) -> bytes:
        """Consume a mailbox pattern, which may hold wildcards."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self.take(LIST_ATOM, "mailbox pattern")

    def nstring(self) -> bytes | None:
        """Consume a string or NIL."""
        return None if self.skip(b"NIL") else self.string()

    def flag(self) -> bytes:
        """Consume a flag or keyword."""
        return self.take(FLAG, "flag")

    def flags(self) -> tuple[bytes, ...]:
        """Consume a parenthesized list of flags."""
        self.expect(b"(")
        if self.skip(b")"):
            return ()
        found = [self.flag()]
        while self.skip(b" "):
            found.append(self.flag())
        self.expect(b")")
        return tuple(found)

    def words(self) -> tuple[bytes, ...]:
        """Consume a parenthesized list of atoms, in upper case."""
        self.expect(b"(")
        if self.skip(b")"):
            return ()
        found = [self.word()]
        while self.skip(b" "):
            found.append(self.word())
        self.expect(b")")
        return tuple(found)
