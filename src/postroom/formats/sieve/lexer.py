"""The words of a Sieve script (RFC 5228 §2, §8.1): identifiers, tags, numbers, strings and marks, each with its place.

One pass over the text, in which no pattern can go back: a script of any bytes costs time in proportion to its length.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_NUMBER = 2**32 - 1
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TOKEN = re.compile(
    r"(?P<blank>(?:[ \t\r\n]++|\#[^\n]*+)++)"
    r"|(?P<comment>/\*)"
    r"|(?P<text>text:[ \t]*+(?:\#[^\r\n]*+)?\r?\n)"
    r"|(?P<word>[A-Za-z_]\w*+)"
    r"|(?P<tag>:[A-Za-z_]\w*+)"
    r"|(?P<number>[0-9]++[KMGkmg]?+)(?!\w)"
    r'|(?P<string>"(?:[^"\\]|\\.)*+")'
    r"|(?P<mark>[\[\](){},;])",
    re.DOTALL | re.ASCII | re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TEXT_END = re.compile(r"^\.\r?(?:\n|\Z)", re.MULTILINE)
_LINE_END = re.compile(r"\r?\n")


class Fault(ValueError):
    """What is wrong with a script, and where: an offset in characters."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.text = text
        self.at = at


class Token(NamedTuple):
    """A word of a script and where it begins; `kind` is word, tag, number, string, the mark itself, or '' for the end."""

    kind: str
    value: str | int
    at: int


def tokens(text: str) -> Iterator[Token]:
    """Cut a script into words, the last of them the end; raises `Fault`."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Fault("A string is not closed." if text[at] == '"' else f"{text[at]!r} cannot stand here.", at)
        kind, found, end = str(match.lastgroup), match[0], match.end()
        if kind == "comment":
            end = _comment_end(text, at)
        elif kind == "text":
            value, end = _multiline(text, at, end)
            yield Token("string", value, at)
        elif kind != "blank":
            yield _token(kind, found, at)
        at = end
    yield Token("", "", len(text))


def place(text: str, at: int) -> tuple[int, int]:
    """Give line and column of an offset, both counted from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _token(kind: str, found: str, at: int) -> Token:
    if kind == "number":
        return Token(kind, _number(found, at), at)
    if kind == "string":
        return Token(kind, _ESCAPE.sub(r"\1", found[1:-1]), at)
    return Token(found, found, at) if kind == "mark" else Token(kind, found.lower().lstrip(":"), at)


def _number(found: str, at: int) -> int:
    digits = found.rstrip("KMGkmg")
    value = int(digits) * _UNITS[found[len(digits) :].lower()] if len(digits) <= 10 else MAX_NUMBER + 1
    if value > MAX_NUMBER:
        raise Fault("This number is too large.", at)
    return value


def _comment_end(text: str, at: int) -> int:
    end = text.find("*/", at + 2)
    if end < 0:
        raise Fault("A comment is not closed.", at)
    return end + 2


def _multiline(text: str, at: int, start: int) -> tuple[str, int]:
    """Read a `text:` string up to the line with a dot alone, its lines ended by CRLF (RFC 5228 §2.4.2)."""
    end = _TEXT_END.search(text, start)
    if end is None:
        raise Fault("A text is not closed by a line with a dot alone.", at)
    lines = _LINE_END.split(text[start : end.start()])
    return "\r\n".join(line[1:] if line.startswith(".") else line for line in lines), end.end()
