"""Pieces of a stored message by IMAP's section names, cut by the stored map (RFC 9051 §6.4.5)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from postroom.formats import charsets, fields, parts, structure, text
from postroom.formats.parts import Part
from postroom.model import errors

_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s()"]+)')
_SPEC = re.compile(r"((?:\d{1,9}\.)*\d{1,9})?\.?([A-Za-z.]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """What stands between the brackets of BODY[...]: part numbers, then "", HEADER, HEADER.FIELDS[.NOT], TEXT or MIME."""

    numbers: tuple[int, ...] = ()
    what: str = ""
    names: tuple[str, ...] = ()


def parse(spec: str) -> Section | None:
    """Read the text of a section; None when it is no section."""
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        return None
    numbers = tuple(int(number) for number in (match[1] or "").split(".") if number)
    names = tuple(quoted.replace("\\", "") or plain for quoted, plain in _NAME.findall(match[3] or ""))
    what = match[2].upper()
    if what not in ("", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME") or (what == "MIME" and not numbers):
        return None
    return None if bool(names) != what.startswith("HEADER.FIELDS") else Section(numbers, what, names)


def section(raw: bytes, packed: bytes, spec: str | Section) -> bytes | None:
    """Cut a section out of a message; None when the message has no such part, or the part no such section.

    What can be asked of a part depends on it: HEADER and TEXT only of one that wraps a message, MIME of every numbered one.
    """
    wanted = parse(spec) if isinstance(spec, str) else spec
    if wanted is None:
        return None
    if not wanted.numbers and not wanted.what:
        return raw
    part = _find(parts.unpack(packed), wanted.numbers)
    return None if part is None else _cut(raw, part, wanted)


def _cut(raw: bytes, part: Part, wanted: Section) -> bytes | None:
    what = wanted.what
    if what == "MIME":
        return raw[part.header_start : part.body_start]
    if not what:
        return raw[part.body_start : part.end]
    if wanted.numbers:
        if not part.wraps_message:
            return None
        part = part.children[0]
    if what == "TEXT":
        return raw[part.body_start : part.end]
    if what == "HEADER":
        return raw[part.header_start : part.body_start]
    return _fields(raw, part, wanted.names, keep=what == "HEADER.FIELDS")


def _find(root: Part, numbers: Sequence[int]) -> Part | None:
    """Walk to a numbered part: a message that is no multipart has one part, its body."""
    part, message = root, True
    for number in numbers:
        if part.wraps_message and not message:
            part, message = part.children[0], True
        if part.is_multipart:
            if not 1 <= number <= len(part.children):
                return None
            part = part.children[number - 1]
        elif not message or number != 1:
            return None
        message = False
    return part


def _fields(raw: bytes, part: Part, names: Sequence[str], *, keep: bool) -> bytes:
    """Copy the fields named (or all else) as they stand, and the empty line behind them."""
    start, stop = part.header_start, _without_empty_line(raw, part)
    placed = list(fields.spans(raw, names, start, stop))
    if not keep:
        placed = list(zip([start, *(end for _, end in placed)], [*(begin for begin, _ in placed), stop], strict=True))
    out = b"".join([raw[begin:end] for begin, end in placed])
    return out + (b"\r\n" if not out or out.endswith(b"\n") else b"\r\n\r\n")


def _without_empty_line(raw: bytes, part: Part) -> int:
    stop = part.body_start
    for line_end in (b"\r\n", b"\n"):
        at = stop - len(line_end)
        if raw.endswith(line_end, part.header_start, stop) and (at == part.header_start or raw[at - 1] == 10):
            return at
    return stop


def headers(raw: bytes) -> list[tuple[str, str]]:
    """List a message's fields in order: name as sent, value unfolded, encoded words still in it."""
    found = []
    for start, end in fields.every(raw):
        name, colon, _ = raw[start:end].partition(b":")
        if colon:
            found.append((name.strip().decode("latin-1"), charsets.guess(fields.value(raw, start, end))))
    return found


def body(packed_structure: bytes) -> bytes:
    """Give the BODY form of a stored BODYSTRUCTURE: the same without extension data (RFC 9051 §7.5.2)."""
    return structure.without_extensions(packed_structure)


def binary(raw: bytes, packed: bytes, numbers: Sequence[int]) -> bytes | None:
    """Give a part's body with its transfer encoding undone; None when there is no such part (RFC 9051 §6.4.5.1).

    An encoding nobody knows raises Unsupported: IMAP's UNKNOWN-CTE.
    """
    root = parts.unpack(packed)
    part = _find(root, numbers)
    if part is None:
        return None
    cut = raw[part.body_start : part.end] if numbers else raw
    if not numbers or part.is_multipart:
        return cut
    if part.encoding not in ("7bit", "8bit", "binary", "base64", "quoted-printable"):
        raise errors.Unsupported(f"The transfer encoding {part.encoding!r} is not known.")
    return text.transfer_decoded(cut, part.encoding)
