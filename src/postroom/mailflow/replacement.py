"""Whether a message may be put in the place of another in the message flow: well formed, and from the same author under the same id.

WorkMail Message Flow API: RawMessageContent
"""

import re

from postroom.formats import headers, parameters, scanner
from postroom.formats.scanner import Entity
from postroom.model import errors

LONGEST_LINE = 1000
"""Octets of a line with its CRLF (RFC 5321 §4.5.3.1.6)."""
REQUIRED = ("From", "Date")
"""RFC 5322 §3.6."""
UNIQUE = ("Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject")
"""RFC 5322 §3.6."""
IMMUTABLE = ("From", "Message-ID")
_LONG = re.compile(rb"[^\n]{%d}" % LONGEST_LINE)


def check(raw: bytes, original: bytes) -> None:
    """Raise `MalformedMessage`, with the reason, unless `raw` may take the place of `original`."""
    if b"\0" in raw:
        raise errors.MalformedMessage("The message has a NUL in it.")
    if _LONG.search(raw):
        raise errors.MalformedMessage(f"The message has a line of more than {LONGEST_LINE} characters.")
    for name in UNIQUE:
        found = len(headers.find_all(raw, name))
        if found > 1:
            raise errors.MalformedMessage(f"The header {name} appears more than once.")
        if not found and name in REQUIRED:
            raise errors.MalformedMessage(f"The required header {name} is missing.")
    for name in IMMUTABLE:
        if _value(raw, name) != _value(original, name):
            raise errors.MalformedMessage(f"The header {name} must remain unchanged.")
    _check_parts(raw, scanner.scan(raw))


def _value(raw: bytes, name: str) -> bytes | None:
    value = headers.find(raw, name)
    return None if value is None else b" ".join(value.split())


def _check_parts(raw: bytes, entity: Entity) -> None:
    """Raise `MalformedMessage` for a multipart without a boundary or without an end (RFC 2046 §5.1)."""
    if entity.type == b"multipart":
        boundary = parameters.find(entity.parameters, b"boundary")
        if not boundary:
            raise errors.MalformedMessage("A multipart has no boundary.")
        last = entity.children[-1].end if entity.children else entity.body_start
        if raw.find(b"\n--" + boundary + b"--", last - 1, entity.end) < 0:
            raise errors.MalformedMessage("A multipart does not end.")
    for child in entity.children:
        _check_parts(raw, child)
