"""Write what the server says: strings, flags, lines (RFC 3501 §7 and §9)."""

import re
from dataclasses import dataclass

from postroom.model.flags import Flag
from postroom.protocols.imap.grammar import names

_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_QUOTABLE = re.compile(rb"[\x20-\x7e]*")

SYSTEM_NAMES = {int(flag): b"\\" + (flag.name or "").capitalize().encode() for flag in Flag}


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: OK, NO or BAD, perhaps with a response code, and a text for people."""

    status: bytes
    text: bytes
    code: bytes = b""

    def line(self, tag: bytes) -> bytes:
        """Write the answer's line."""
        if self.code:
            return b"%b %b [%b] %b\r\n" % (tag, self.status, self.code, self.text)
        return b"%b %b %b\r\n" % (tag, self.status, self.text)


def ok(text: bytes, code: bytes = b"") -> Done:
    """Say that the command did what it should."""
    return Done(b"OK", text, code)


def no(text: bytes, code: bytes = b"") -> Done:
    """Say that the command could not be done."""
    return Done(b"NO", text, code)


def bad(text: bytes, code: bytes = b"") -> Done:
    """Say that the command was not one, or not now."""
    return Done(b"BAD", text, code)


def plain(text: str) -> bytes:
    """Make a text fit to stand at the end of a line."""
    return re.sub(rb"[^\x20-\x7e]+", b" ", text.encode("ascii", "replace")).strip() or b"?"


def string(value: bytes) -> bytes:
    """Write a quoted string, or a literal where quotes would not do."""
    if len(value) < 1000 and _QUOTABLE.fullmatch(value):
        if b"\\" in value or b'"' in value:
            value = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        return b'"' + value + b'"'
    return b"{%d}\r\n%b" % (len(value), value)


def astring(value: bytes) -> bytes:
    """Write an atom where possible, a string otherwise."""
    if _ATOM.fullmatch(value) and value.upper() != b"NIL":
        return value
    return string(value)


def mailbox(path: str) -> bytes:
    """Write a path of the house as a mailbox name."""
    return astring(names.encode(path))


class FlagTexts(dict[int, bytes]):
    """Flags of a message to their text, remembered; `unknown` collects bits whose keyword has no name here yet."""

    __slots__ = ("names", "unknown")

    def __init__(self, keywords: dict[int, str]) -> None:
        super().__init__()
        self.names = SYSTEM_NAMES | {bit: name.encode("ascii", "replace") for bit, name in keywords.items()}
        self.unknown = 0

    def __missing__(self, flags: int) -> bytes:
        known = [name for bit, name in self.names.items() if flags & bit]
        for bit in self.names:
            flags &= ~bit
        self.unknown |= flags
        text = b" ".join(known)
        if not flags and len(self) < 10_000:
            self[sum(bit for bit, name in self.names.items() if name in known)] = text
        return text

    def all(self) -> bytes:
        """Write every flag the mailbox knows."""
        return b" ".join(self.names.values())
