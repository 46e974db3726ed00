"""Search filters: from the text an administrator writes to what travels (RFC 4515, RFC 4511 §4.5.1.7).

Nothing that a client of this server says becomes part of one: users are bound by the names that the directory has given.
"""

import re

from postroom.ldap import ber

DEEPEST = 20
_SETS = {"&": 0xA0, "|": 0xA1}
_COMPARISONS = {"": 0xA3, ">": 0xA5, "<": 0xA6, "~": 0xA8}
_ITEM = re.compile(
    r"(?P<type>[A-Za-z0-9][A-Za-z0-9.;-]*)?(?P<dn>:dn)?(?::(?P<rule>[A-Za-z0-9.-]+))?(?P<kind>[:<>~]?)=(?P<value>[^()\x00]*)\Z"
)
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})|(\\)")


def parse(text: str) -> bytes:
    """Read a filter such as `(&(objectClass=person)(uid=a*))`; raises ValueError."""
    octets, end = _filter(text, 0, 0)
    if end != len(text):
        raise ValueError(f'"{text}" goes on behind its last parenthesis')
    return octets


def _filter(text: str, at: int, depth: int) -> tuple[bytes, int]:
    if depth > DEEPEST or text[at : at + 1] != "(":
        raise ValueError(f'"{text}" is no search filter; write it like (objectClass=person)')
    sign = text[at + 1 : at + 2]
    if sign in _SETS:
        return _set(text, at + 2, depth, _SETS[sign])
    if sign == "!":
        inner, at = _filter(text, at + 2, depth + 1)
        return ber.wrap(0xA2, inner), _closed(text, at)
    end = text.find(")", at)
    return _item(text[at + 1 : end if end > 0 else len(text)]), _closed(text, end)


def _set(text: str, at: int, depth: int, tag: int) -> tuple[bytes, int]:
    members = []
    while text[at : at + 1] == "(":
        member, at = _filter(text, at, depth + 1)
        members.append(member)
    return ber.wrap(tag, *members), _closed(text, at)


def _closed(text: str, at: int) -> int:
    if at < 0 or text[at : at + 1] != ")":
        raise ValueError(f'"{text}" lacks a parenthesis')
    return at + 1


def _item(text: str) -> bytes:
    found = _ITEM.match(text)
    if found is None:
        raise ValueError(f'"({text})" is no search filter')
    name, rule, kind, value = found["type"], found["rule"], found["kind"], found["value"]
    if kind == ":":
        return _extensible(text, name, rule, value, whole=bool(found["dn"]))
    if name is None or rule or found["dn"]:
        raise ValueError(f'"({text})" is no search filter')
    if kind == "" and value == "*":
        return ber.octets(name, 0x87)
    if kind == "" and "*" in value:
        return ber.wrap(0xA4, ber.octets(name), _substrings(value))
    return ber.wrap(_COMPARISONS[kind], ber.octets(name), ber.octets(_value(value)))


def _extensible(text: str, name: str | None, rule: str | None, value: str, *, whole: bool) -> bytes:
    if name is None and rule is None:
        raise ValueError(f'"({text})" names neither an attribute nor a rule')
    optional = [ber.octets(part, tag) for part, tag in ((rule, 0x81), (name, 0x82)) if part]
    return ber.wrap(0xA9, *optional, ber.octets(_value(value), 0x83), *([ber.boolean(True, 0x84)] if whole else []))


def _substrings(value: str) -> bytes:
    first, *middle, last = value.split("*")
    pieces = [ber.octets(_value(first), 0x80)] if first else []
    pieces += [ber.octets(_value(piece), 0x81) for piece in middle if piece]
    pieces += [ber.octets(_value(last), 0x82)] if last else []
    return ber.wrap(ber.SEQUENCE, *pieces)


def _value(text: str) -> bytes:
    def plain(found: re.Match[bytes]) -> bytes:
        if found[2]:
            raise ValueError(f'"{text}" holds a \\ without two hex digits')
        return bytes.fromhex(found[1].decode())

    return _ESCAPED.sub(plain, text.encode())
