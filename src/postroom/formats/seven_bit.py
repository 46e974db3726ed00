"""Writes a message anew so that its body has seven bits and no long lines, and says the same as before (RFC 2045 §6, RFC 6152 §3).

Only leaves are encoded, as multiparts and carried messages may not be (RFC 2046 §5.1, §5.2.1). What was signed as it stands stays as it is
(RFC 1847 §2.1), and so does what cannot be told: parts too deep or too many, encodings that nobody knows, eight bits in the header of a
part. The header of the message itself is left alone but for what it says of the body.
"""

import binascii
import re
from dataclasses import dataclass, field

from postroom.formats import fields, parameters, scanner
from postroom.formats.scanner import Entity

LONGEST_LINE = 998
"""Octets of a line without its end (RFC 5321 §4.5.3.1.6)."""
MAX_DEPTH = 40
MAX_PARTS = 1000
MAX_HEADER = 64 * 1024
"""Octets of the header of a part that is encoded."""
_WIDTH = 76
_FEW = 20
"""Octets that a text may quote even where base64 would be shorter."""
_LONG = re.compile(rb"\n[^\n]{%d}" % (LONGEST_LINE + 2))
_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_OUTSIDE_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_IDENTITY = (b"7bit", b"8bit", b"binary")
_UPPER = bytes(range(0x80, 0x100))
_EIGHT = bytes(octet if octet < 0x80 else 0x3F for octet in range(256))
_ENCODING = "Content-Transfer-Encoding"


class _Stuck(Exception):
    """This message cannot be written so."""


@dataclass(slots=True)
class _Work:
    """A message, and what is to stand in the place of its pieces, in order."""

    raw: bytes
    carried: bool = True
    edits: list[tuple[int, int, bytes]] = field(default_factory=list)
    parts: int = 0

    def put(self, start: int, end: int, new: bytes) -> None:
        self.edits.append((start, end, new))

    def done(self) -> bytes:
        pieces, at = [], 0
        for start, end, new in self.edits:
            pieces += [self.raw[at:start], new]
            at = end
        return b"".join([*pieces, self.raw[at:]])


def fits(raw: bytes) -> bool:
    """Say whether the body of a message can go anywhere as it is."""
    return _fits(raw, scanner.header_end(raw, 0, len(raw)), len(raw))


def is_ascii(raw: bytes) -> bool:
    """Say whether the body of a message has seven bits."""
    return raw.isascii() or raw[scanner.header_end(raw, 0, len(raw)) :].isascii()


def convert(raw: bytes, *, carried: bool = True) -> bytes | None:
    """Write a message with a body of seven bits; None when that cannot be done without changing what it says.

    Messages that it carries are written anew only if they may be (`carried`): others may have signed them.
    """
    if fits(raw):
        return raw
    work = _Work(raw, carried)
    try:
        _convert(work, scanner.scan(raw), (), 0, whole=True)
    except _Stuck:
        return None
    made = work.done()
    return made if fits(made) else None


def _fits(raw: bytes, start: int, end: int) -> bool:
    body = raw[start:end]
    if not body.isascii() or b"\0" in body:
        return False
    return len(body) <= LONGEST_LINE or not (_LONG.search(body) or _LONG.search(b"\n" + body[: LONGEST_LINE + 3]))


def _convert(work: _Work, entity: Entity, boundaries: tuple[bytes, ...], depth: int, *, whole: bool) -> None:
    """Convert a message (`whole`) or a part of one, within multiparts of these boundaries."""
    work.parts += 1
    head = work.raw[entity.header_start : entity.body_start]
    if depth and not head.isascii():
        raise _Stuck
    if _fits(work.raw, entity.body_start, entity.end):
        _relabel_all(work, entity)
        return
    if depth > MAX_DEPTH or work.parts > MAX_PARTS or len(head) > MAX_HEADER or not head:
        raise _Stuck
    kind = _kind(entity)
    if kind[0] == b"multipart":
        _convert_multipart(work, entity, boundaries, depth)
    elif kind[0] == b"message" and not work.carried:
        raise _Stuck
    elif kind == (b"message", b"rfc822") and entity.encoding in _IDENTITY:
        _relabel(work, entity)
        _convert(work, entity.children[0], boundaries, depth + 1, whole=True)
    elif kind[0] == b"message" and not (kind[1].startswith(b"global") or entity.encoding not in _IDENTITY):
        raise _Stuck
    else:
        _convert_leaf(work, entity, kind, boundaries, whole=whole)


def _kind(entity: Entity) -> tuple[bytes, bytes]:
    """Give the type that an entity says it has; one that the scanner has not opened, though it could be opened, is not converted."""
    value = entity.field(b"content-type")
    said = parameters.parse(value)[0].partition(b"/")[0].strip().lower() if value else entity.type
    kind = (entity.type, entity.subtype)
    closed = said in (b"multipart", b"message") and said != entity.type and entity.encoding in _IDENTITY
    unwrapped = kind == (b"message", b"rfc822") and not entity.children
    if closed or unwrapped or (said == b"multipart" and entity.encoding not in _IDENTITY):
        raise _Stuck
    return kind


def _convert_multipart(work: _Work, entity: Entity, boundaries: tuple[bytes, ...], depth: int) -> None:
    boundary = (parameters.find(entity.parameters, b"boundary") or b"").rstrip()
    if entity.subtype == b"signed" or not boundary or not boundary.isascii():
        raise _Stuck
    _relabel(work, entity)
    at = entity.body_start
    for child in entity.children:
        _plain(work, at, child.header_start)
        _convert(work, child, (*boundaries, boundary), depth + 1, whole=False)
        at = child.end
    _plain(work, at, entity.end)


def _plain(work: _Work, start: int, end: int) -> None:
    """Leave seven bits of what stands between parts, which nobody reads (RFC 2046 §5.1.1)."""
    piece = work.raw[start:end]
    if not piece.isascii() or b"\0" in piece:
        work.put(start, end, piece.translate(_EIGHT).replace(b"\0", b"?"))


def _relabel(work: _Work, entity: Entity) -> None:
    """Say of what contains other parts that it has seven bits."""
    if entity.encoding != b"7bit":
        _set_encoding(work, entity, "7bit", ())


def _relabel_all(work: _Work, entity: Entity) -> None:
    """Say of what has seven bits already that it has; not within what has been signed."""
    if entity.encoding in _IDENTITY and entity.body_start > entity.header_start:
        _relabel(work, entity)
    if (entity.type, entity.subtype) != (b"multipart", b"signed"):
        for child in entity.children:
            _relabel_all(work, child)


def _convert_leaf(work: _Work, entity: Entity, kind: tuple[bytes, bytes], boundaries: tuple[bytes, ...], *, whole: bool) -> None:
    body = work.raw[entity.body_start : entity.end]
    named, new = _encode(body, entity.encoding, text=kind[0] == b"text", boundaries=boundaries)
    more = []
    if whole and not any(True for _ in fields.spans(work.raw, ("MIME-Version",), entity.header_start, entity.body_start)):
        more.append("MIME-Version: 1.0")
    if entity.field(b"content-type") is None and not body.isascii():
        more.append(f"Content-Type: text/plain; charset={_charset(body)}")
    _set_encoding(work, entity, named, more)
    work.put(entity.body_start, entity.end, new)


def _encode(body: bytes, encoding: bytes, *, text: bool, boundaries: tuple[bytes, ...]) -> tuple[str, bytes]:
    """Encode a body, which may be encoded already, but badly; gives the encoding and the new body."""
    if encoding == b"base64":
        return "base64", _folded(_OUTSIDE_BASE64.sub(b"", body))
    if encoding == b"quoted-printable":
        body = binascii.a2b_qp(body)
    elif encoding not in _IDENTITY:
        raise _Stuck
    elif encoding != b"binary":
        body = _LONE.sub(b"\r\n", body)
    eight = len(body) - len(body.translate(None, _UPPER))
    if text and eight <= max(len(body) // 6, _FEW):
        quoted = _quoted(body)
        if not any(b"\n--" + boundary in b"\n" + quoted for boundary in boundaries):
            return "quoted-printable", quoted
    return "base64", _folded(binascii.b2a_base64(body, newline=False))


def _quoted(body: bytes) -> bytes:
    """Write quoted-printable, a line at a time; a CR or LF that ends none is quoted (RFC 2045 §6.7)."""
    return b"\r\n".join([binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n") for line in body.split(b"\r\n")])


def _folded(text: bytes) -> bytes:
    return b"\r\n".join([text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)])


def _charset(body: bytes) -> str:
    """Name the charset of a text that does not say it (RFC 1428 §3)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return "unknown-8bit"
    return "utf-8"


def _set_encoding(work: _Work, entity: Entity, name: str, more: list[str] | tuple[()]) -> None:
    """Write the encoding where it stood, or at the end of the header, and further lines after it."""
    raw, start, stop = work.raw, entity.header_start, entity.body_start
    lines = "".join(f"{line}\r\n" for line in (f"{_ENCODING}: {name}", *more)).encode()
    spans = list(fields.spans(raw, (_ENCODING,), start, stop))
    if not spans:
        end = stop - (2 if raw[start:stop].endswith(b"\r\n") else 1)
        work.put(end, end, lines)
    for number, (begin, end) in enumerate(spans):
        work.put(begin, end, b"" if number else lines)
