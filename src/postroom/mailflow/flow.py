"""The message flow: every letter that came in or was submitted within a day, by an id, with its content as it was.

A letter's row keeps its content alive, whatever becomes of the copies in mailboxes. What is put in the place of the content is what is
read from then on; letters that have been delivered stay as they are.

An id is a UUID of version 8 (RFC 9562 §5.8) that says where its row is: 32 bits are the number of the organization, 40 that of the
content, 50 are random. So the id alone leads there, and the row needs no other index.

WorkMail API: GetRawMessageContent, PutRawMessageContent
"""

import secrets
import uuid
from dataclasses import dataclass
from enum import StrEnum

from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import flow as rows

KEPT_SECONDS = 24 * 3600.0
"""How long a letter's content can be read."""
_CONTENT_BITS, _NUMBER_BITS = 40, 50
_PAGE = 1000
"""Letters looked at in one transaction: some milliseconds, for which writers wait."""


class Direction(StrEnum):
    """Which way a letter goes, as ARNs say it."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an id says that its letter is."""

    scope: int
    content: int
    number: int


@dataclass(frozen=True, slots=True)
class Message:
    """A letter in the flow; `content` is what is read of it."""

    direction: Direction
    content: int


def enter(tx: Tx, content: int, direction: Direction) -> str:
    """Put a letter of this organization into the flow; gives its id."""
    number = secrets.randbits(_NUMBER_BITS)
    rows.insert(tx, content, number, direction.value)
    return _id(tx.organization, content, number)


def passing_id(tx: Tx) -> str:
    """Make an id for a letter whose content is not kept."""
    return _id(tx.organization, 0, secrets.randbits(_NUMBER_BITS))


def place(id: str) -> Place | None:
    """Read an id; None for what is no such id."""
    try:
        value = uuid.UUID(id)
    except ValueError:
        return None
    if str(value) != id or value.version != 8:
        return None
    bits = value.int >> 80 << 74 | (value.int >> 64 & 0xFFF) << 62 | value.int & (1 << 62) - 1
    content, number = bits >> _NUMBER_BITS & (1 << _CONTENT_BITS) - 1, bits & (1 << _NUMBER_BITS) - 1
    return Place(bits >> _CONTENT_BITS + _NUMBER_BITS, content, number)


def get(tx: Tx, id: str) -> Message:
    """Give a letter that is not too old; raises ItemNotFound."""
    at = _place_here(tx, id)
    found = rows.find(tx, at.content, at.number)
    if found is None or found[1] < tx.now - KEPT_SECONDS:
        raise errors.ItemNotFound("The requested email message is not found.")
    direction, _, replaced_by = found
    return Message(Direction(direction), at.content if replaced_by is None else replaced_by)


def read(tx: Tx, id: str) -> bytes:
    """Give the content of a letter, or what was put in its place; raises ItemNotFound."""
    return contents.read(tx, get(tx, id).content)


def replace(tx: Tx, id: str, prepared: Prepared) -> None:
    """Put another content in the place of a letter's own; raises ItemNotFound."""
    get(tx, id)
    at = _place_here(tx, id)
    rows.replace(tx, at.content, at.number, contents.keep(tx, prepared))


def purge(tx: Tx, *, kept: float, after: int = 0) -> tuple[int, int]:
    """Forget, in a page of the letters, those older than `kept` seconds; gives (where the page ends, 0 at the end of all, how many)."""
    last = rows.last_of_page(tx, after=after, limit=_PAGE)
    if last is None:
        return 0, 0
    return last, rows.delete(tx, after=after, last=last, before=tx.now - kept)


def _id(scope: int, content: int, number: int) -> str:
    bits = (scope << _CONTENT_BITS | content) << _NUMBER_BITS | number
    digits = f"{bits >> 74:012x}8{bits >> 62 & 0xFFF:03x}{1 << 63 | bits & (1 << 62) - 1:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _place_here(tx: Tx, id: str) -> Place:
    at = place(id)
    if at is None or at.scope != tx.organization:
        raise errors.ItemNotFound("The requested email message is not found.")
    return at
