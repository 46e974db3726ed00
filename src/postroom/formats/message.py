"""What a letter's row says about it, computed once when it comes in and never again."""

from dataclasses import dataclass

from postroom.formats import dates, envelope, parts, scanner, structure, text
from postroom.formats.parts import Part
from postroom.formats.scanner import Entity
from postroom.formats.words import decode_header, unfold

FIELD_LIMIT = 65_536
"""Characters of one searchable field that are kept."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A message read once. `subject` to `bcc` are decoded and casefolded, for searching.

    `envelope` and `structure` are IMAP's ENVELOPE and BODYSTRUCTURE, ready to send; `parts` is a packed `Part`.
    `sent_at` is the Date field in seconds since 1970 UTC; `sent_wall` the same clock reading without its zone, which is
    what SEARCH SENTON and its kin compare (RFC 9051 §6.4.4).
    """

    size: int
    envelope: bytes
    structure: bytes
    parts: bytes
    subject: str
    sender: str
    to: str
    cc: str
    bcc: str
    sent_at: float | None
    sent_wall: float | None
    message_id: str
    in_reply_to: str
    references: str
    attachments: int


@dataclass(frozen=True, slots=True)
class Texts:
    """The words of a message, of its header and of its body: decoded, HTML dropped, bounded."""

    header: str
    body: str


def summarize(raw: bytes) -> Summary:
    """Read a message of any bytes whatever, in time linear in its size."""
    root = scanner.scan(raw)
    tree = parts.tree(raw, root)
    sent = dates.parse(_plain(root, b"date"))
    return Summary(
        size=len(raw),
        envelope=envelope.render(root.fields),
        structure=structure.render(raw, root),
        parts=parts.pack(tree),
        subject=_folded(root, b"subject"),
        sender=_folded(root, b"from"),
        to=_folded(root, b"to"),
        cc=_folded(root, b"cc"),
        bcc=_folded(root, b"bcc"),
        sent_at=sent.utc if sent else None,
        sent_wall=sent.wall if sent else None,
        message_id=_plain(root, b"message-id"),
        in_reply_to=_plain(root, b"in-reply-to"),
        references=_plain(root, b"references"),
        attachments=_attachments(tree),
    )


def texts(raw: bytes) -> Texts:
    """Give the words of a message, for the word index and for confirming a search on the message itself."""
    tree = parts.tree(raw, scanner.scan(raw))
    return Texts(_clean(text.header_text(raw, tree)), _clean(text.body_text(raw, tree)))


def _folded(root: Entity, name: bytes) -> str:
    values = root.fields.get(name)
    if not values:
        return ""
    value = unfold(values[0]) if len(values) == 1 else b", ".join([unfold(one) for one in values])
    return _clean(decode_header(value[:FIELD_LIMIT]).casefold()[:FIELD_LIMIT])


def _plain(root: Entity, name: bytes) -> str:
    values = root.fields.get(name)
    return _clean(unfold(values[0])[:FIELD_LIMIT].decode("utf-8", "replace")) if values else ""


def _clean(value: str) -> str:
    """Make text storable: no NUL, which PostgreSQL refuses, and no half surrogate pairs."""
    if "\0" in value:
        value = value.replace("\0", " ")
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return value


def _attachments(part: Part) -> int:
    """Count what a reader would call attached: attachments, named parts not shown inline, and carried messages."""
    if part.is_multipart:
        return sum([_attachments(child) for child in part.children])
    named = bool(part.filename) and part.disposition != "inline"
    return int(part.disposition == "attachment" or named or (part.wraps_message and part.header_start > 0))
