"""Header tools for mail in motion: look, add and remove fields without touching any other byte."""

from collections.abc import Iterable

from postroom.formats import addresses as address_lists
from postroom.formats import fields
from postroom.formats.scanner import header_end
from postroom.formats.words import unfold


def header_block(raw: bytes) -> bytes:
    """Cut out the header with the empty line that ends it."""
    return raw[: header_end(raw, 0, len(raw))]


def find_all(raw: bytes, name: str) -> list[bytes]:
    """List the unfolded values of every field of that name, in order; its case does not matter."""
    return [fields.value(raw, start, end) for start, end in fields.spans(raw, (name,))]


def find(raw: bytes, name: str) -> bytes | None:
    """Find the unfolded value of the first field of that name."""
    for start, end in fields.spans(raw, (name,)):
        return fields.value(raw, start, end)
    return None


def prepend(raw: bytes, lines: Iterable[bytes]) -> bytes:
    """Put whole fields in front of a message, the first one first; each is given without its last line end."""
    return b"".join([line + b"\r\n" for line in lines]) + raw


def remove(raw: bytes, name: str) -> bytes:
    """Take every field of that name out of a message's header."""
    kept: list[bytes] = []
    at = 0
    for start, end in fields.spans(raw, (name,)):
        kept.append(raw[at:start])
        at = end
    return b"".join([*kept, raw[at:]]) if at else raw


def addresses(value: bytes | str) -> list[str]:
    """List the addresses of an address field: user@domain, without names, comments and group marks."""
    data = unfold(value.encode("utf-8", "replace") if isinstance(value, str) else value)
    return [spec.decode("utf-8", "replace") for spec in address_lists.specs(data)]


def received_count(raw: bytes) -> int:
    """Count the hops a message has made (RFC 5321 §6.3)."""
    return sum(1 for _ in fields.spans(raw, ("Received",)))
