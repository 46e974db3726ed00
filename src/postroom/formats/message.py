"""What a letter's row says about it, computed once when it comes in and never again."""

import re
from dataclasses import dataclass

from postroom.formats import dates, envelope, headers, parts, scanner, structure, text
from postroom.formats.parts import Part
from postroom.formats.scanner import Entity
from postroom.formats.words import decode_header, unfold

FIELD_LIMIT = 65_536
"""Characters of one searchable field that are kept."""

TITLE_LIMIT = 998
"""Characters of a subject or an identifier that a letterhead shows."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """A letter named in a few words: the first addresses of From and Sender, decoded subject, Message-ID; '' for what is not there."""

    author: str = ""
    sender: str = ""
    subject: str = ""
    message_id: str = ""


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
    letterhead: Letterhead = Letterhead()


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
    title, message_id = _decoded(root, b"subject"), _plain(root, b"message-id")
    return Summary(
        size=len(raw),
        envelope=envelope.render(root.fields),
        structure=structure.render(raw, root),
        parts=parts.pack(tree),
        subject=title.casefold()[:FIELD_LIMIT],
        sender=_folded(root, b"from"),
        to=_folded(root, b"to"),
        cc=_folded(root, b"cc"),
        bcc=_folded(root, b"bcc"),
        sent_at=sent.utc if sent else None,
        sent_wall=sent.wall if sent else None,
        message_id=message_id,
        in_reply_to=_plain(root, b"in-reply-to"),
        references=_plain(root, b"references"),
        attachments=_attachments(tree),
        letterhead=_letterhead(_first(root, b"from"), _first(root, b"sender"), title, message_id),
    )


def letterhead(raw: bytes) -> Letterhead:
    """Read the letterhead alone."""
    title = _clean(decode_header((headers.find(raw, "Subject") or b"")[:FIELD_LIMIT]))
    message_id = (headers.find(raw, "Message-ID") or b"").decode("utf-8", "replace")
    return _letterhead(headers.find(raw, "From"), headers.find(raw, "Sender"), title, _clean(message_id))


def _letterhead(author: bytes | None, sender: bytes | None, title: str, message_id: str) -> Letterhead:
    return Letterhead(_address(author), _address(sender), title[:TITLE_LIMIT], message_id[:TITLE_LIMIT])


def _address(value: bytes | None) -> str:
    """Give the first address of a field."""
    if not value:
        return ""
    plain = _PLAIN_ADDRESS.fullmatch(value)
    if plain is not None:
        return plain[1].decode()
    found = headers.addresses(value[:FIELD_LIMIT])
    return _clean(found[0]) if found else ""


_PLAIN_ADDRESS = re.compile(rb"[\w \t.'-]*<([\w.+-]+@[\w.-]+)>[\r\n]*", re.ASCII)
"""What most From fields look like: read in a tenth of the time."""


def texts(raw: bytes) -> Texts:
    """Give the words of a message, for the word index and for confirming a search on the message itself."""
    tree = parts.tree(raw, scanner.scan(raw))
    return Texts(_clean(text.header_text(raw, tree)), _clean(text.body_text(raw, tree)))


def _folded(root: Entity, name: bytes) -> str:
    return _decoded(root, name).casefold()[:FIELD_LIMIT]


def _decoded(root: Entity, name: bytes) -> str:
    values = root.fields.get(name)
    if not values:
        return ""
    value = unfold(values[0]) if len(values) == 1 else b", ".join([unfold(one) for one in values])
    return _clean(decode_header(value[:FIELD_LIMIT]))


def _first(root: Entity, name: bytes) -> bytes | None:
    values = root.fields.get(name)
    return values[0] if values else None


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
