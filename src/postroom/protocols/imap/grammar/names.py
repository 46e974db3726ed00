"""Mailbox names on the wire: modified UTF-7, INBOX in any case, and patterns with wildcards.

Inside the house a folder's path is plain text with "/" between its parts and the inbox is called `Inbox`; clients read and
write `INBOX` and, in IMAP4rev1, modified UTF-7 (RFC 3501 §5.1.3). Names with raw 8-bit bytes are taken as UTF-8, as many
clients send them. A pattern with wildcards before its end is matched with all its possible positions at once, as bits of one
integer, so that no pattern of stars can make it slow.

Names that begin with `Shared/` and an address lie in the mailbox of whoever has that address (RFC 2342 §5, other users); decoded, the
address is in the form in which addresses are compared. A folder of one's own may be called `Shared` too.
"""

import binascii
import re
from contextlib import suppress

from postroom.model import addresses, errors
from postroom.protocols.imap.grammar.scanner import Malformed

INBOX = "Inbox"
SEPARATOR = "/"
SHARED = "Shared"
"""The name above the mailboxes of others."""
PATTERN_LIMIT = 1000
ADDRESS_LIMIT = addresses.MAX_LOCAL + 1 + addresses.MAX_DOMAIN
"""Letters of an address that is looked at: those of more are nobody's, and a domain of many letters takes long to read."""

_PLAIN = re.compile(rb"[\x20-\x25\x27-\x7e]*")
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_OTHERS = re.compile(rf"{SHARED}/([^/]*@[^/]*)(?:/(.*))?", re.DOTALL)
_INBOX = re.compile(rf"\A((?-i:{SHARED})/[^/*%]*@[^/*%]*/)?inbox(?![^/*%])", re.IGNORECASE | re.ASCII)
_FOREIGN = re.compile(r"[^\x20-\x7e]+|&")


def decode(name: bytes) -> str:
    """Read a mailbox name; gives the house's path."""
    return _house(_text(name))


def _text(name: bytes) -> str:
    if _PLAIN.fullmatch(name):
        return name.decode("ascii")
    if not name.isascii():
        return _utf8(name)
    pieces, at = [], 0
    for found in _SHIFTED.finditer(name):
        pieces += [_ascii(name[at : found.start()]), _shifted(found[1])]
        at = found.end()
    pieces.append(_ascii(name[at:]))
    return "".join(pieces)


def _utf8(name: bytes) -> str:
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad() from None
    if any(character < " " or character == "\x7f" for character in text):
        raise _bad()
    return text


def _ascii(piece: bytes) -> str:
    if not _PLAIN.fullmatch(piece):
        raise _bad()
    return piece.decode("ascii")


def _shifted(piece: bytes) -> str:
    if not piece:
        return "&"
    padded = piece.replace(b",", b"/") + b"=" * (-len(piece) % 4)
    try:
        text = binascii.a2b_base64(padded).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        raise _bad() from None
    if any(character < " " or character == "\x7f" for character in text):
        raise _bad()
    return text


def _bad() -> Malformed:
    return Malformed("This is not a possible mailbox name.", b"NO", b"CANNOT")


def split(path: str) -> tuple[str, str]:
    """Part a name into the address of whose mailbox it lies in, empty for the client's own, and the path there."""
    found = _OTHERS.fullmatch(path) if path.startswith(SHARED) else None
    return (found[1], found[2] or "") if found else ("", path)


def root_of(address: str) -> str:
    """Name what the names in another's mailbox begin with, without the separator behind it."""
    return SHARED + SEPARATOR + address


def _house(text: str) -> str:
    address, path = split(text)
    if not address:
        return _own(text)
    with suppress(errors.InvalidParameter):  # where it is nobody's, as will turn out
        address = addresses.parse(address).key if len(address) <= ADDRESS_LIMIT else address
    return root_of(address) + (SEPARATOR + _own(path) if path else "")


def _own(text: str) -> str:
    first, separator, rest = text.partition(SEPARATOR)
    return INBOX + separator + rest if first.lower() == "inbox" else text


def _wire(path: str) -> str:
    """Spell the inbox as clients do."""
    address, within = split(path)
    if address:
        return root_of(address) + SEPARATOR + _wire(within) if within else path
    return "INBOX" + path[len(INBOX) :] if path == INBOX or path.startswith(INBOX + SEPARATOR) else path


def encode(path: str) -> bytes:
    """Write a path of the house as a mailbox name, not yet quoted."""
    path = _wire(path)
    if path.isascii() and "&" not in path and path.isprintable():
        return path.encode("ascii")
    return _FOREIGN.sub(_shift, path).encode("ascii")


def _shift(found: re.Match[str]) -> str:
    text = found[0]
    if text == "&":
        return "&-"
    packed = binascii.b2a_base64(text.encode("utf-16-be", "replace"), newline=False)
    return "&" + packed.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


class Pattern:
    """A mailbox pattern: `*` matches anything, `%` anything within one level (RFC 3501 §6.3.8)."""

    __slots__ = ("_accept", "_any", "_head", "_places", "_plain", "_start", "_tail", "_within")

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_LIMIT:
            raise Malformed("pattern too long", b"NO", b"LIMIT")
        self._head = text.rstrip("*%")
        self._tail = text[len(self._head) :]
        self._plain = "*" not in self._head and "%" not in self._head
        self._places: dict[str, int] = {}
        self._any = self._within = 0
        for place, character in enumerate(text):
            bit = 1 << place
            if character == "*":
                self._any |= bit
            elif character == "%":
                self._within |= bit
            else:
                self._places[character] = self._places.get(character, 0) | bit
        self._accept = 1 << len(text)
        self._start = self._spread(1)

    def _spread(self, states: int) -> int:
        """Let every wildcard match nothing too."""
        wild = self._any | self._within
        while True:
            wider = states | ((states & wild) << 1)
            if wider == states:
                return states
            states = wider

    def reaches(self, above: str) -> bool:
        """Say whether anything below a name could match."""
        return bool(self._follow(above + SEPARATOR))

    def matches(self, path: str) -> bool:
        """Say whether a path of the house matches."""
        name = _wire(path)
        if self._plain:
            rest = name[len(self._head) :]
            return name.startswith(self._head) and (not rest or "*" in self._tail or ("%" in self._tail and SEPARATOR not in rest))
        return bool(self._follow(name) & self._accept)

    def _follow(self, name: str) -> int:
        """Give the positions the pattern may be at behind a name."""
        states = self._start
        for character in name:
            stay = states & self._any
            if character != SEPARATOR:
                stay |= states & self._within
            states = self._spread(((states & self._places.get(character, 0)) << 1) | stay)
            if not states:
                break
        return states


def pattern(reference: bytes, name: bytes) -> Pattern:
    """Join a LIST command's reference and pattern (RFC 3501 §6.3.8)."""
    text = _text(reference + name)
    return Pattern(_INBOX.sub(lambda found: (found[1] or "") + "INBOX", text, count=1))
