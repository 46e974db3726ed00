"""What a SEARCH looks for (RFC 3501 §6.4.4, RFC 5032, RFC 7162 §3.1.5).

The tree is the client's own: names of keys in upper case with their arguments. Text is decoded by the charset, so a key
never holds bytes. Depth and number of keys are bounded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from postroom.protocols.imap.grammar import dates, sets
from postroom.protocols.imap.grammar.scanner import Malformed, Scanner

DEPTH_LIMIT = 50
KEYS_LIMIT = 500
READING_LIMIT = 50
"""Keys for which the messages themselves may have to be read."""
CHARSETS = {b"US-ASCII": "ascii", b"UTF-8": "utf-8"}

PLAIN = frozenset(b"ALL ANSWERED DELETED DRAFT FLAGGED NEW OLD RECENT SEEN UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN".split())
TEXTS = frozenset(b"BCC BODY CC FROM SUBJECT TEXT TO".split())
DAYS = frozenset(b"BEFORE ON SINCE SENTBEFORE SENTON SENTSINCE".split())
NUMBERS = frozenset(b"LARGER SMALLER OLDER YOUNGER".split())
READING = frozenset(b"BODY HEADER TEXT".split())
RETURNS = frozenset(b"MIN MAX ALL COUNT".split())


@dataclass(frozen=True, slots=True)
class Key:
    """One search key: SET, UID, AND, OR, NOT, or its name in the standard; `arguments` as it needs them."""

    name: bytes
    arguments: tuple[Any, ...] = ()


def parse_returns(scanner: Scanner) -> frozenset[bytes] | None:
    """Consume `RETURN (...) ` if it is there (RFC 4731 §3.1); an empty list means ALL."""
    if not scanner.skip(b"RETURN ("):
        return None
    scanner.at -= 1
    found = frozenset(scanner.words())
    scanner.space()
    if not found <= RETURNS:
        raise Malformed("unknown result option")
    return found or frozenset({b"ALL"})


def parse(scanner: Scanner) -> Key:
    """Consume an optional charset and one or more keys, all of which must hold."""
    charset = "utf-8"
    if scanner.skip(b"CHARSET "):
        name = scanner.astring().upper()
        if name not in CHARSETS:
            raise Malformed("Use US-ASCII or UTF-8.", b"NO", b"BADCHARSET (US-ASCII UTF-8)")
        charset = CHARSETS[name]
        scanner.space()
    key = _all(scanner, charset, 0)
    _limit(key)
    return key


def _limit(key: Key) -> None:
    """Refuse what would take too long to answer."""
    keys, reading, waiting = 0, 0, [key]
    while waiting:
        one = waiting.pop()
        keys += 1
        reading += one.name in READING
        waiting += [inner for inner in one.arguments if isinstance(inner, Key)]
    if keys > KEYS_LIMIT or reading > READING_LIMIT:
        raise Malformed("too many keys", b"NO", b"LIMIT")


def _all(scanner: Scanner, charset: str, depth: int) -> Key:
    if depth > DEPTH_LIMIT:
        raise Malformed("too many nested keys")
    keys = [_key(scanner, charset, depth)]
    while scanner.peek() == b" ":
        scanner.space()
        if not scanner.peek():
            break
        keys.append(_key(scanner, charset, depth))
    return keys[0] if len(keys) == 1 else Key(b"AND", tuple(keys))


def _key(scanner: Scanner, charset: str, depth: int) -> Key:
    if depth > DEPTH_LIMIT:
        raise Malformed("too many nested keys")
    first = scanner.peek()
    if first == b"(":
        scanner.expect(b"(")
        inner = _all(scanner, charset, depth + 1)
        scanner.expect(b")")
        return inner
    if first.isdigit() or first == b"*":
        return Key(b"SET", (sets.parse(scanner),))
    name = scanner.word()
    if name in PLAIN:
        return Key(name)
    if name == b"NOT":
        scanner.space()
        return Key(name, (_key(scanner, charset, depth + 1),))
    if name == b"OR":
        scanner.space()
        left = _key(scanner, charset, depth + 1)
        scanner.space()
        return Key(name, (left, _key(scanner, charset, depth + 1)))
    return Key(name, _arguments(scanner, charset, name))


def _arguments(scanner: Scanner, charset: str, name: bytes) -> tuple[Any, ...]:
    if name in TEXTS:
        scanner.space()
        return (_text(scanner, charset),)
    if name in DAYS:
        scanner.space()
        return (dates.parse_day(scanner),)
    if name in NUMBERS:
        scanner.space()
        return (scanner.number(),)
    reader = _OTHERS.get(name)
    if reader is None:
        raise Malformed("unknown search key")
    scanner.space()
    return reader(scanner, charset)


def _text(scanner: Scanner, charset: str) -> str:
    try:
        return scanner.astring().decode(charset)
    except UnicodeDecodeError:
        raise Malformed("the text is not in the charset") from None


def _header(scanner: Scanner, charset: str) -> tuple[Any, ...]:
    name = scanner.astring()
    scanner.space()
    return (name.decode("latin-1"), _text(scanner, charset))


def _modseq(scanner: Scanner, charset: str) -> tuple[Any, ...]:
    if scanner.peek() == b'"':
        scanner.quoted()
        scanner.space()
        if scanner.word() not in (b"PRIV", b"SHARED", b"ALL"):
            raise Malformed("priv, shared or all expected")
        scanner.space()
    return (scanner.number64(),)


def _keyword(scanner: Scanner, charset: str) -> tuple[Any, ...]:
    return (scanner.atom().decode("ascii"),)


def _uids(scanner: Scanner, charset: str) -> tuple[Any, ...]:
    return (sets.parse(scanner),)


_OTHERS: dict[bytes, Callable[[Scanner, str], tuple[Any, ...]]] = {
    b"HEADER": _header,
    b"KEYWORD": _keyword,
    b"UNKEYWORD": _keyword,
    b"MODSEQ": _modseq,
    b"UID": _uids,
}
