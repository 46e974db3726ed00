"""What a look at the header alone tells: signs that a program for sending junk wrote it, each worth a part of the score.

No sign makes a letter junk alone, as honest programs are sloppy too. What is refused outright, such as two From lines, is in `inbound`.
"""

import re
from collections.abc import Iterator
from typing import Final

from postroom.formats import addresses, dates, fields, scanner
from postroom.formats.words import decode_header
from postroom.mailflow.filters.opinions import Opinion

SCORES: Final = {
    "MISSING_FROM": 0.4,
    "FROM_WITHOUT_ADDRESS": 0.4,
    "MISSING_DATE": 0.25,
    "INVALID_DATE": 0.3,
    "DATE_IN_FUTURE": 0.3,
    "DATE_IN_PAST": 0.2,
    "MISSING_MESSAGE_ID": 0.25,
    "MULTIPLE_UNIQUE_HEADERS": 0.4,
    "FROM_NAME_HAS_OTHER_ADDRESS": 0.6,
}
DAY = 86_400
_ONCE = ("Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject")
_ADDRESS = re.compile(r"[\w.+-]{1,64}@((?:[\w-]{1,63}\.){1,8}[a-z]{2,24})\b", re.IGNORECASE)
_NAME_LIMIT = 1000


def look(raw: bytes, now: float) -> Opinion:
    """Give the opinion of a letter that its header deserves, at a time in epoch seconds."""
    signs = tuple(_signs(raw, now))
    return Opinion(sum(SCORES[sign] for sign in signs), signs) if signs else _NOTHING


def _signs(raw: bytes, now: float) -> Iterator[str]:
    """Name what is wrong (RFC 5322 §3.6)."""
    found = _once(raw)
    yield from _from(found.get(b"from"))
    yield from _date(found.get(b"date"), now)
    if b"message-id" not in found:
        yield "MISSING_MESSAGE_ID"
    if b"" in found:
        yield "MULTIPLE_UNIQUE_HEADERS"


def _once(raw: bytes) -> dict[bytes, bytes]:
    """Read the fields that may be there once; under an empty name the second of a kind."""
    found: dict[bytes, bytes] = {}
    for start, end in fields.spans(raw, _ONCE, 0, scanner.header_end(raw, 0, len(raw))):
        name = raw[start : raw.index(b":", start, end)].rstrip(b" \t").lower()
        found[b"" if name in found else name] = fields.value(raw, start, end)
    return found


def _from(value: bytes | None) -> Iterator[str]:
    if value is None:
        yield "MISSING_FROM"
        return
    authors = [one for one in addresses.parse(value) if one.local and one.domain]
    if not authors:
        yield "FROM_WITHOUT_ADDRESS"
        return
    for one in authors[:10]:
        claimed = _ADDRESS.search(decode_header(one.name[:_NAME_LIMIT])) if one.name else None
        if claimed and not _kin(claimed[1].lower(), (one.domain or b"").decode("utf-8", "replace").lower()):
            yield "FROM_NAME_HAS_OTHER_ADDRESS"
            return


def _kin(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _date(value: bytes | None, now: float) -> Iterator[str]:
    if value is None:
        yield "MISSING_DATE"
        return
    sent = dates.parse(value.decode("latin-1"))
    if sent is None:
        yield "INVALID_DATE"
    elif sent.utc > now + 2 * DAY:
        yield "DATE_IN_FUTURE"
    elif sent.utc < now - 60 * DAY:
        yield "DATE_IN_PAST"


_NOTHING = Opinion()
