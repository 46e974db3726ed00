"""Keywords: flags with names of the client's choosing, one bit each within a mailbox.

A mailbox has room for 56; names compare without regard to case (RFC 9051 §2.3.2) and keep the spelling of
their first use.
"""

from collections.abc import Iterable

from postroom.mailbox.access import Mailbox
from postroom.model import errors
from postroom.model.flags import KEYWORD_BITS
from postroom.storage.engine import Tx
from postroom.storage.queries import keywords as queries

MAX_BYTES = 128
"""Bytes of a keyword's name."""


def names(tx: Tx, mailbox: Mailbox) -> dict[int, str]:
    """Give the keywords of a mailbox by their masks."""
    return {1 << bit: name for bit, name in queries.all_of(tx, mailbox.id)}


def mask(tx: Tx, mailbox: Mailbox, wanted: Iterable[str], *, create: bool) -> int:
    """Give the bits of keywords; unknown ones get a bit or, without `create`, none. Raises `TooManyKeywords`."""
    known = {name.lower(): bit for bit, name in queries.all_of(tx, mailbox.id)}
    bits = 0
    for name in wanted:
        bit = known.get(name.lower())
        if bit is None and create:
            bit = known[name.lower()] = _add(tx, mailbox, name, set(known.values()))
        if bit is not None:
            bits |= 1 << bit
    return bits


def _add(tx: Tx, mailbox: Mailbox, name: str, taken: set[int]) -> int:
    free = next((bit for bit in KEYWORD_BITS if bit not in taken), None)
    if free is None or len(name) > MAX_BYTES:
        raise errors.TooManyKeywords()
    queries.insert(tx, mailbox.id, free, name)
    return free
