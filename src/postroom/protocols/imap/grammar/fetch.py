"""What a FETCH asks for (RFC 3501 §6.4.5 and §9, fetch-att).

An attribute without a body section is just its name. `RFC822`, `RFC822.HEADER` and `RFC822.TEXT` are sections that answer
under their old names.
"""

import re
from dataclasses import dataclass

from postroom.protocols.imap.grammar.scanner import MAXIMUM_32, Malformed, Scanner

ATTRIBUTE_LIMIT = 100

_NAME = re.compile(rb"[A-Za-z0-9.]+")
_PART = re.compile(rb"[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8})*")
_TEXT = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([0-9]{1,10})>")
_SIMPLE = frozenset({b"FLAGS", b"UID", b"ENVELOPE", b"INTERNALDATE", b"RFC822.SIZE", b"BODY", b"BODYSTRUCTURE", b"MODSEQ"})


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the content: `BODY[2.HEADER.FIELDS (DATE)]<0.100>`.

    `part` is the dotted number or empty; `text` one of HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or empty;
    `start` and `count` ask for some of its bytes; `peek` leaves \\Seen alone; `label` is what the answer is called.
    """

    part: bytes
    text: bytes
    fields: tuple[bytes, ...]
    start: int
    count: int | None
    peek: bool
    label: bytes


Attribute = bytes | Section

_MACROS: dict[bytes, tuple[Attribute, ...]] = {
    b"ALL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"),
    b"FAST": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"),
    b"FULL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"),
}
_OLD = {
    b"RFC822": Section(b"", b"", (), 0, None, False, b"RFC822"),
    b"RFC822.HEADER": Section(b"", b"HEADER", (), 0, None, True, b"RFC822.HEADER"),
    b"RFC822.TEXT": Section(b"", b"TEXT", (), 0, None, False, b"RFC822.TEXT"),
}


def parse(scanner: Scanner) -> tuple[Attribute, ...]:
    """Consume a macro, an attribute or a list of attributes; each is given once."""
    if not scanner.skip(b"("):
        name = _name(scanner)
        return _MACROS[name] if name in _MACROS else (_attribute(scanner, name),)
    found = {_attribute(scanner, _name(scanner)): None}
    while scanner.skip(b" "):
        found[_attribute(scanner, _name(scanner))] = None
        if len(found) > ATTRIBUTE_LIMIT:
            raise Malformed("too many attributes")
    scanner.expect(b")")
    return tuple(found)


def _name(scanner: Scanner) -> bytes:
    return scanner.take(_NAME, "attribute").upper()


def _attribute(scanner: Scanner, name: bytes) -> Attribute:
    if name in (b"BODY", b"BODY.PEEK") and scanner.peek() == b"[":
        return _section(scanner, name == b"BODY.PEEK")
    if name in _SIMPLE:
        return name
    if name in _OLD:
        return _OLD[name]
    raise Malformed("unknown attribute")


def _section(scanner: Scanner, peek: bool) -> Section:
    scanner.expect(b"[")
    part = text = b""
    fields: tuple[bytes, ...] = ()
    found = _PART.match(scanner.text, scanner.at)
    if found is not None:
        part, scanner.at = found[0], found.end()
    if scanner.peek() != b"]":
        if part:
            scanner.expect(b".")
        text = scanner.take(_TEXT, "section").upper()
        if text == b"MIME" and not part:
            raise Malformed("MIME needs a part number")
    if text.startswith(b"HEADER.FIELDS"):
        fields = _fields(scanner)
    scanner.expect(b"]")
    start, count = _partial(scanner)
    return Section(part, text, fields, start, count, peek, _label(part, text, fields, start, count))


def _fields(scanner: Scanner) -> tuple[bytes, ...]:
    scanner.space()
    scanner.expect(b"(")
    found = [scanner.astring()]
    while scanner.skip(b" "):
        found.append(scanner.astring())
    scanner.expect(b")")
    if not all(name and all(33 <= byte <= 126 and byte != 58 for byte in name) for name in found):
        raise Malformed("not a header field name")
    return tuple(found)


def _partial(scanner: Scanner) -> tuple[int, int | None]:
    if scanner.peek() != b"<":
        return 0, None
    found = _PARTIAL.match(scanner.text, scanner.at)
    if found is None:
        raise Malformed("invalid partial")
    scanner.at = found.end()
    start, count = int(found[1]), int(found[2])
    if start > MAXIMUM_32 or not 0 < count <= MAXIMUM_32:
        raise Malformed("invalid partial")
    return start, count


def _label(part: bytes, text: bytes, fields: tuple[bytes, ...], start: int, count: int | None) -> bytes:
    inside = part + b"." + text if part and text else part or text
    if fields:
        inside += b" (" + b" ".join(_astring(name) for name in fields) + b")"
    return b"BODY[" + inside + b"]" + (b"<%d>" % start if count is not None else b"")


def _astring(name: bytes) -> bytes:
    special = any(byte in b'(){%*"\\]' for byte in name)
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"' if special else name
