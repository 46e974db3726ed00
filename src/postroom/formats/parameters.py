"""Structured MIME field values: a main word and its parameters (RFC 2045 §5.1, RFC 2183, RFC 2231)."""

import re
from urllib.parse import unquote_to_bytes

from postroom.formats import charsets
from postroom.formats.words import decode_header

Parameters = list[tuple[bytes, bytes]]

VALUE_LIMIT = 65_536
"""Octets of one value that are read; what stands behind them is passed over."""

_PARAMETER = re.compile(rb';\s*+([^\s=;"]++)\s*+=\s*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"?|([^;]*+))', re.DOTALL)
_COMMENT = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+"?)|(?<![^\s;])\([^()\\]*+(?:\\.[^()\\]*+)*+\)', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_SECTION = re.compile(r"\*(\d{1,4})(\*?)$")


def parse(value: bytes) -> tuple[bytes, Parameters]:
    """Split a value into its main word, lower case, and its parameters as sent: names lower case, values unquoted.

    Comments go; an unterminated quote reaches to the end; an unquoted value may hold blanks, as careless senders write them.
    """
    value = value[:VALUE_LIMIT]
    if b"(" in value:
        value = _COMMENT.sub(lambda match: match[1] or b" ", value)
    main, semicolon, _ = value.partition(b";")
    found: Parameters = []
    if semicolon:
        for match in _PARAMETER.finditer(value, len(main)):
            name, quoted, plain = match.groups()
            found.append((name.lower(), plain.strip() if quoted is None else _unquoted(quoted)))
    return main.strip().lower(), found


def _unquoted(text: bytes) -> bytes:
    return _ESCAPE.sub(rb"\1", text) if b"\\" in text else text


def find(parameters: Parameters, name: bytes) -> bytes | None:
    """Find the first parameter of that exact name, as sent."""
    for key, value in parameters:
        if key == name:
            return value
    return None


def text(parameters: Parameters, name: str) -> str:
    """Read a parameter as text: extended and continued forms first, then encoded words, else as it stands (RFC 2231 §3, §4)."""
    plain = ""
    pieces: dict[int, tuple[bool, bytes]] = {}
    for key_bytes, value in parameters:
        key = key_bytes.decode("latin-1")
        if key == name:
            plain = plain or decode_header(value)
        elif key == name + "*":
            return _extended(value)
        elif key.startswith(name + "*") and (section := _SECTION.search(key)):
            pieces.setdefault(int(section[1]), (bool(section[2]), value))
    return _continued(pieces) if 0 in pieces else plain


def _extended(value: bytes) -> str:
    charset, _, rest = value.partition(b"'")
    _, _, encoded = rest.partition(b"'")
    if not rest:
        return charsets.guess(unquote_to_bytes(value))
    return charsets.decode(unquote_to_bytes(encoded), charset.decode("latin-1"))


def _continued(pieces: dict[int, tuple[bool, bytes]]) -> str:
    charset, joined = b"", b""
    parts: list[bytes] = []
    for number in range(len(pieces)):
        if number not in pieces:
            break
        encoded, value = pieces[number]
        if encoded and number == 0 and value.count(b"'") >= 2:
            charset, _, value = value.split(b"'", 2)
        parts.append(unquote_to_bytes(value) if encoded else value)
    joined = b"".join(parts)
    return charsets.decode(joined, charset.decode("latin-1")) if charset else decode_header(joined)
