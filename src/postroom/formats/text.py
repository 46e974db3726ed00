"""The words of a letter, for the search index: decoded, HTML tags dropped, bounded, in linear time."""

import html
import re
from binascii import a2b_qp

from postroom.formats import charsets, words
from postroom.formats.parts import Part
from postroom.formats.words import decode_header

TEXT_LIMIT = 1 << 20
"""Characters of text that are kept, of the header and of the body each."""

_ENCODED_LIMIT = 2 << 20
"""Octets of one part that are decoded for its text."""

_FOLD = re.compile(rb"\r?\n[ \t]+")
_TAG = re.compile(r"<[^<>]*+>")
_ENDLESS = re.compile(r"&#[0-9]{100,}+;?")
"""Character references that name nothing; the library refuses to read numbers of thousands of digits."""
_OPENING = re.compile(r"<(?:!--|[sS][tT][yY][lL][eE]|[sS][cC][rR][iI][pP][tT])")
_CLOSINGS = {
    "<!--": re.compile("-->"),
    "<style": re.compile("</style[^>]*>?", re.IGNORECASE),
    "<script": re.compile("</script[^>]*>?", re.IGNORECASE),
}


def transfer_decoded(body: bytes, encoding: str) -> bytes:
    """Undo base64 and quoted-printable; anything else is given as it is (RFC 2045 §6)."""
    if encoding == "quoted-printable":
        return a2b_qp(body)
    return words.base64(body) if encoding == "base64" else body


def header_text(raw: bytes, part: Part) -> str:
    """Read a header as text, one field a line."""
    block = raw[part.header_start : min(part.body_start, part.header_start + TEXT_LIMIT)]
    return decode_header_lines(_FOLD.sub(b" ", block))


def decode_header_lines(block: bytes) -> str:
    """Decode an unfolded header block line by line."""
    text = charsets.guess(block)
    if "=?" not in text:
        return text
    return "\n".join([decode_header(line) if "=?" in line else line for line in text.split("\n")])


def body_text(raw: bytes, root: Part) -> str:
    """Gather the text of a message: its text parts, the names of its files, the headers of the messages it carries."""
    found: list[str] = []
    left = TEXT_LIMIT
    waiting = [root]
    while waiting and left > 0:
        part = waiting.pop()
        text = _text(raw, part, root)[:left]
        if text:
            found.append(text)
            left -= len(text)
        waiting += reversed(part.children)
    return "\n".join(found)


def _text(raw: bytes, part: Part, root: Part) -> str:
    if part.wraps_message:
        return header_text(raw, part.children[0])
    if not part.type.startswith("text/"):
        return part.filename
    body = raw[part.body_start : min(part.end, part.body_start + _ENCODED_LIMIT)]
    text = charsets.decode(transfer_decoded(body, part.encoding), part.charset)
    if part.type == "text/html":
        text = strip_html(text)
    return f"{part.filename}\n{text}" if part.filename and part is not root else text


def strip_html(text: str) -> str:
    """Drop tags, comments, styles and scripts, and resolve character references; a sieve for words, not a renderer."""
    text = _TAG.sub(" ", _without_hidden(text))
    return html.unescape(_ENDLESS.sub(" ", text)) if "&" in text else text


def _without_hidden(text: str) -> str:
    kept: list[str] = []
    at = 0
    while opening := _OPENING.search(text, at):
        kept.append(text[at : opening.start()])
        closing = _CLOSINGS[opening[0].lower()].search(text, opening.end())
        at = closing.end() if closing else len(text)
    return " ".join([*kept, text[at:]]) if kept else text
