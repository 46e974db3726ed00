"""The lines by which a letter says what filters think of it, spelled as SpamAssassin does, since rules everywhere read those.

`X-Spam-Flag: YES` stands in junk alone. Lines of that name that came with the letter are a stranger's word, and go.
"""

import re

from postroom.formats import fields, headers
from postroom.formats.scanner import header_end
from postroom.mailflow.assessment import Content, Verdict

NAMES = ("X-Spam-Flag", "X-Spam-Score", "X-Spam-Level", "X-Spam-Status", "X-Spam-Bar", "X-Virus-Found")
_WIDTH = 70
_MARK = re.compile(rb"\nx-(?:spam|virus)-", re.IGNORECASE)


def strip(raw: bytes) -> bytes:
    """Take such lines out of a message."""
    if _MARK.search(raw, 0, header_end(raw, 0, len(raw))) is None:
        return raw
    for name in NAMES:
        raw = headers.remove(raw, name)
    return raw


def stamp(raw: bytes, content: Content) -> bytes:
    """Put what filters think in the place of what strangers say they do, behind this server's Received."""
    raw, lines = strip(raw), write(content)
    if not lines:
        return raw
    begin = next((end for _, end in fields.spans(raw, ("Received",))), 0)
    return raw[:begin] + headers.prepend(raw[begin:], lines)


def write(content: Content) -> list[bytes]:
    """Give the lines for a verdict, each without its line end; none where nobody was asked or nothing was found."""
    junk = content.spam is Verdict.FAIL
    if not (junk or content.symbols or content.score or content.found):
        return []
    status = f"X-Spam-Status: {'Yes' if junk else 'No'}, score={content.score:.2f} required=1.00 tests="
    lines = [_folded(status, content.symbols)]
    if junk:
        lines.insert(0, b"X-Spam-Flag: YES")
    if content.found:
        lines.append(f"X-Virus-Found: {content.found}".encode("ascii", "replace"))
    return lines


def _folded(line: str, symbols: tuple[str, ...]) -> bytes:
    lines = [line]
    for at, symbol in enumerate(symbols):
        word = symbol + ("," if at + 1 < len(symbols) else "")
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("\t")
        lines[-1] += word
    return "\r\n".join(lines if symbols else [line + "none"]).encode("ascii", "replace")
