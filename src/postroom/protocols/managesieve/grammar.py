"""The words of ManageSieve: a line of a command to words, strings and answers to bytes; pure (RFC 5804 §4)."""

import re
from dataclasses import dataclass

Word = str | bytes | int
"""An atom in capitals, a string, or a number."""

_WORD = re.compile(
    rb'(?P<string>"(?:[^"\\\x00]|\\["\\])*+")|\{(?P<literal>\d{1,10})\+\}\Z|(?P<number>\d{1,10})(?= |\Z)'
    rb"|(?P<atom>[!#-'*-Z^-z|]{1,64})"
)
_ESCAPE = re.compile(rb"\\(.)")
_PLAIN = re.compile(rb"[^\x00-\x1f\x7f]{0,900}\Z")


class Malformed(Exception):
    """This is no command."""


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer: OK, NO or BYE, perhaps with a code, and a text for people."""

    status: bytes
    text: str
    code: bytes = b""

    def line(self) -> bytes:
        """Write it."""
        code = b" (" + self.code + b")" if self.code else b""
        return self.status + code + b" " + string(self.text) + b"\r\n"


SILENT = Done(b"", "")
"""An answer that has been written already."""


def ok(text: str, code: bytes = b"") -> Done:
    """Say that it is done."""
    return Done(b"OK", text, code)


def no(text: str, code: bytes = b"") -> Done:
    """Say that it is not done."""
    return Done(b"NO", text, code)


def read(line: bytes) -> tuple[list[Word], int | None]:
    """Read the words of a line, and the octets of the literal that it ends with, None for none; raises `Malformed`."""
    found: list[Word] = []
    at = 0
    while at < len(line):
        match = _WORD.match(line, at)
        if match is None:
            raise Malformed
        if match["literal"] is not None:
            return found, int(match["literal"])
        found.append(_value(match))
        at = match.end()
        if at < len(line):
            if line[at] != 32:
                raise Malformed
            at += 1
    return found, None


def string(text: str | bytes) -> bytes:
    """Write a string, quoted where that is possible, else as a literal."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if _PLAIN.match(data):
        return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return literal(data)


def literal(data: bytes) -> bytes:
    """Write a string as a literal."""
    return b"{%d}\r\n%b" % (len(data), data)


def _value(match: re.Match[bytes]) -> Word:
    if match["string"] is not None:
        return _ESCAPE.sub(rb"\1", match["string"][1:-1])
    return int(match["number"]) if match["number"] is not None else match["atom"].decode("ascii").upper()
