"""Write what the server says: strings, flags, lines (RFC 3501 §7 and §9)."""

import re
from dataclasses import dataclass

from postroom.model.flags import KEYWORD_BITS, Flag
from postroom.protocols.imap.grammar import names

_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_QUOTABLE = re.compile(rb"[\x20-\x7e]*")

RECENT = 1 << 62
"""A bit beside the flags of the store: this session is the first to hear of the message."""
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


SILENT = Done(b"", b"")
"""The end of a command that has answered already."""


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
    """Flags of a message to their text, remembered; bits without a name are left out."""

    __slots__ = ("known", "names")

    def __init__(self, keywords: dict[int, str]) -> None:
        super().__init__()
        self.names = SYSTEM_NAMES | {bit: name.encode("ascii", "replace") for bit, name in keywords.items()}
        self.known = RECENT
        for bit in self.names:
            self.known |= bit

    def __missing__(self, flags: int) -> bytes:
        found = [name for bit, name in self.names.items() if flags & bit]
        if flags & RECENT:
            found.append(b"\\Recent")
        text = b" ".join(found)
        if len(self) < 10_000:
            self[flags] = text
        return text

    @property
    def has_room(self) -> bool:
        """Say whether the mailbox can take up further keywords."""
        return len(self.names) < len(SYSTEM_NAMES) + len(KEYWORD_BITS)

    def all(self) -> bytes:
        """Write every flag the mailbox knows."""
        return b" ".join(self.names.values())
