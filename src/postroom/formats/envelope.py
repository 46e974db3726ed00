"""ENVELOPE, rendered once from a message's header (RFC 9051 §7.5.2, RFC 3501 §7.4.2)."""

from postroom.formats import addresses
from postroom.formats.addresses import MAX_ADDRESSES, Mailbox
from postroom.formats.nstrings import nstring, string
from postroom.formats.scanner import Fields
from postroom.formats.words import unfold

TEXT_LIMIT = 65_536
"""Octets of a subject, date or identifier that are shown."""
ADDRESSES_LIMIT = 262_144
"""Octets of an address field that are read."""


def render(fields: Fields) -> bytes:
    """Render the envelope; Sender and Reply-To fall back to From, fields that stand twice are one list."""
    sender = _addresses(fields, b"from")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(fields, b"date"),
        _text(fields, b"subject"),
        sender,
        _addresses(fields, b"sender", sender),
        _addresses(fields, b"reply-to", sender),
        _addresses(fields, b"to"),
        _addresses(fields, b"cc"),
        _addresses(fields, b"bcc"),
        _text(fields, b"in-reply-to"),
        _text(fields, b"message-id"),
    )


def _text(fields: Fields, name: bytes) -> bytes:
    values = fields.get(name)
    return string(unfold(values[0])[:TEXT_LIMIT]) if values else b"NIL"


def _addresses(fields: Fields, name: bytes, default: bytes = b"NIL") -> bytes:
    values = fields.get(name)
    if not values:
        return default
    value = unfold(values[0]) if len(values) == 1 else b", ".join([unfold(one) for one in values])
    found = addresses.parse(value[:ADDRESSES_LIMIT])
    return b"(" + b"".join([_address(mailbox) for mailbox in found[: MAX_ADDRESSES + 1]]) + b")" if found else default


def _address(mailbox: Mailbox) -> bytes:
    return b"(%b %b %b %b)" % (nstring(mailbox.name), nstring(mailbox.route), nstring(mailbox.local), nstring(mailbox.domain))
