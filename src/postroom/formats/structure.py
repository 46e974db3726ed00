"""BODYSTRUCTURE, rendered once, and BODY, cut out of it (RFC 9051 §7.5.2, RFC 3501 §7.4.2)."""

import re

from postroom.formats import envelope, parameters
from postroom.formats.nstrings import nstring, string
from postroom.formats.parameters import Parameters
from postroom.formats.scanner import Entity


def render(raw: bytes, entity: Entity) -> bytes:
    """Render an entity with all extension data; types and parameter names in lower case, values as sent."""
    if entity.type == b"multipart":
        return b"(%b %b %b %b)" % (
            b"".join([render(raw, child) for child in entity.children]),
            string(entity.subtype),
            _parameters(entity.parameters),
            _rest(entity),
        )
    head = [
        string(entity.type),
        string(entity.subtype),
        _parameters(_with_charset(entity)),
        nstring(entity.field(b"content-id")),
        nstring(entity.field(b"content-description")),
        string(entity.encoding),
        b"%d" % (entity.end - entity.body_start),
    ]
    if entity.type == b"message" and entity.subtype == b"rfc822" and entity.children:
        inner = entity.children[0]
        head += envelope.render(inner.fields), render(raw, inner)
        head.append(b"%d" % raw.count(b"\n", entity.body_start, entity.end))
    elif entity.type == b"text":
        head.append(b"%d" % raw.count(b"\n", entity.body_start, entity.end))
    head += nstring(entity.field(b"content-md5")), _rest(entity)
    return b"(" + b" ".join(head) + b")"


def _with_charset(entity: Entity) -> Parameters:
    """Name the default charset of text, as the RFC's examples and its clients expect it (RFC 2045 §5.2)."""
    if entity.type != b"text" or any(name.startswith(b"charset") for name, _ in entity.parameters):
        return entity.parameters
    return [*entity.parameters, (b"charset", b"us-ascii")]


def _parameters(found: Parameters) -> bytes:
    if not found:
        return b"NIL"
    return b"(" + b" ".join([string(name) + b" " + string(value) for name, value in found]) + b")"


def _rest(entity: Entity) -> bytes:
    """Render disposition, language and location."""
    fields = entity.fields
    disposition = b"NIL"
    if b"content-disposition" in fields:
        main, found = parameters.parse(entity.field(b"content-disposition") or b"")
        if main:
            disposition = b"(%b %b)" % (string(main), _parameters(found))
    language = _languages(entity.field(b"content-language")) if b"content-language" in fields else b"NIL"
    location = nstring(entity.field(b"content-location")) if b"content-location" in fields else b"NIL"
    return b"%b %b %b" % (disposition, language, location)


def _languages(value: bytes | None) -> bytes:
    """Render language tags as a list (RFC 3282 §2)."""
    tags = [string(tag) for tag in (value or b"").replace(b",", b" ").split()]
    return b"(" + b" ".join(tags) + b")" if tags else b"NIL"


_ATOM = re.compile(rb"[^\s()\"{]+")
_QUOTED = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")


def without_extensions(structure: bytes) -> bytes:
    """Cut the extension data out of a rendered BODYSTRUCTURE: what FETCH BODY answers."""
    out: list[bytes] = []
    _body(structure, 0, out)
    return b"".join(out)


def _body(text: bytes, at: int, out: list[bytes]) -> int:
    """Copy the body that opens there without its extensions; return where it closes."""
    at += 1
    out.append(b"(")
    if text[at : at + 1] == b"(":
        while text[at : at + 1] == b"(":
            at = _body(text, at, out)
        end = _skip(text, at + 1)
        out.append(text[at:end])
    else:
        end = _leaf(text, at, out)
    while text[end : end + 1] != b")":
        end = _skip(text, end + 1)
    out.append(b")")
    return end + 1


def _leaf(text: bytes, at: int, out: list[bytes]) -> int:
    end = at
    for count in range(7):
        end = _skip(text, end + (count > 0))
    head = text[at:end].lower()
    if head.startswith(b'"message" "rfc822" ') and text[end + 1 : end + 2] == b"(":
        end = _skip(text, end + 1) + 1
        out.append(text[at:end])
        at = _body(text, end, out)
        end = _skip(text, at + 1)
    elif head.startswith(b'"text" '):
        end = _skip(text, end + 1)
    out.append(text[at:end])
    return end


def _skip(text: bytes, at: int) -> int:
    """Return where the value that starts there ends: an atom, a string or a list."""
    depth = 0
    while True:
        mark = text[at : at + 1]
        if mark == b"(":
            depth, at = depth + 1, at + 1
        elif mark == b")":
            depth, at = depth - 1, at + 1
        elif mark == b" ":
            at += 1
        elif mark == b'"' and (quoted := _QUOTED.match(text, at)):
            at = quoted.end()
        elif mark == b"{" and (literal := _LITERAL.match(text, at)):
            at = literal.end() + int(literal[1])
        elif atom := _ATOM.match(text, at):
            at = atom.end()
        else:
            return len(text)
        if depth <= 0:
            return at
