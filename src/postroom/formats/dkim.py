"""What is signed of a message: its header fields and its body in canonical form; and the tag lists of signatures and keys.

RFC 6376 §3.2, §3.4, §5.4.2. All of it is linear in the size of what it reads.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from postroom.formats import fields
from postroom.formats.scanner import header_end

MAX_FIELDS = 10_000
"""Fields of a header in which signatures are looked for; of one with more, none is."""
MAX_TAGS = 64
"""Tags in a list; none has so many."""
_BLANKS = re.compile(rb"[ \t]{2,}|\t")
_TAG = re.compile(rb"[A-Za-z][A-Za-z0-9_]*\Z")
_SIGNATURE = re.compile(rb"([;:][ \t\r\n]*b[ \t\r\n]*=)[^;]*")

Fields = Mapping[bytes, Sequence[bytes]]
"""The fields of a header, whole with their line ends, by their names in lower case, in order."""


def split(raw: bytes) -> tuple[Fields, bytes]:
    """Give the fields of a message, none where there are too many, and its body."""
    found: dict[bytes, list[bytes]] = {}
    for count, (start, end) in enumerate(fields.every(raw)):
        if count == MAX_FIELDS:
            found = {}
            break
        field = raw[start:end]
        found.setdefault(field.partition(b":")[0].rstrip(b" \t").lower(), []).append(field)
    return found, raw[header_end(raw, 0, len(raw)) :]


def choose(found: Fields, names: Iterable[bytes]) -> list[bytes]:
    """Pick the fields that a list of names signs: of each name the last one left (RFC 6376 §5.4.2); what is not there is passed over."""
    left = {name: list(values) for name, values in found.items()}
    chosen = []
    for name in names:
        values = left.get(name)
        if values:
            chosen.append(values.pop())
    return chosen


def simple_body(body: bytes) -> bytes:
    """Leave a body as it is, but for the empty lines at its end (RFC 6376 §3.4.3)."""
    return _without_empty_end(body) + b"\r\n"


def relaxed_body(body: bytes) -> bytes:
    """Reduce blanks, take them off the ends of lines, and empty lines off the end of the body (RFC 6376 §3.4.4)."""
    if b"\t" in body or b"  " in body:
        body = _BLANKS.sub(b" ", body)
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    body = _without_empty_end(body.removesuffix(b" "))
    return body + b"\r\n" if body else b""


def simple_header(field: bytes) -> bytes:
    """Leave a field as it is (RFC 6376 §3.4.1)."""
    return field


def relaxed_header(field: bytes) -> bytes:
    """Write a field on one line, its name in lower case, its blanks reduced (RFC 6376 §3.4.2); it keeps its line end, if it has one."""
    name, _, value = field.partition(b":")
    end = b"\r\n" if field.endswith(b"\n") else b""
    value = value.replace(b"\r\n", b"").replace(b"\t", b" ")
    if b"  " in value:
        value = _BLANKS.sub(b" ", value)
    return name.rstrip(b" \t").lower() + b":" + value.strip(b" ") + end


def without_signature(field: bytes) -> bytes:
    """Empty the b= of a signature, as it was when it was signed, and take off the line end (RFC 6376 §3.7)."""
    return _SIGNATURE.sub(rb"\1", field, count=1).removesuffix(b"\r\n")


def tags(text: bytes) -> dict[str, str]:
    """Read a tag list, with blanks and folds around its values taken off; raises `ValueError` (RFC 6376 §3.2)."""
    parts = text.split(b";", MAX_TAGS)
    if not parts[-1].strip():
        parts.pop()
    found: dict[str, str] = {}
    for part in parts:
        name, sign, value = part.partition(b"=")
        name = name.strip()
        if not sign or not _TAG.match(name):
            raise ValueError("a tag list is name=value; name=value")
        if name.decode() in found:
            raise ValueError(f"the tag {name.decode()} stands there twice")
        found[name.decode()] = value.strip().decode("utf-8", "replace")
    if len(parts) > MAX_TAGS:
        raise ValueError("too many tags")
    return found


def compact(value: str) -> str:
    """Take all blanks and folds out of a value, as base64 and lists may have them anywhere."""
    return "".join(value.split())


def _without_empty_end(body: bytes) -> bytes:
    """Take off the CRLFs that a body ends with; a CR or LF that is alone is no end of a line."""
    if not body.endswith(b"\r\n"):
        return body
    kept = len(body.rstrip(b"\r\n"))
    end = body[kept:]
    alone = max(end.rfind(b"\r\r") + 1, end.rfind(b"\n\n") + 2 if b"\n\n" in end else 0, 1 if end.startswith(b"\n") else 0)
    return body[: kept + alone]
