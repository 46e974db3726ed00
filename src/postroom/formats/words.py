"""Header text: unfolding, and encoded words in it (RFC 2047)."""

import re
from binascii import Error, a2b_base64, a2b_qp

from postroom.formats import charsets

_FOLDS = (b"\r\n ", b"\r\n\t", b"\n ", b"\n\t")
_FOREIGN = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_WORD = re.compile(r"=\?([^?*\s]{1,64})(?:\*[^?\s]{0,64})?\?([bBqQ])\?([^?]*+)\?=")


def unfold(value: bytes) -> bytes:
    """Join a folded field value: each line break goes, the blank after it stays, as a space (RFC 5322 §2.2.3)."""
    if b"\n" in value:
        for fold in _FOLDS:
            value = value.replace(fold, b" ")
    return value.strip(b" \t\r\n")


def base64(data: bytes) -> bytes:
    """Decode base64 as far as it goes; letters outside the alphabet are skipped, a bad tail is dropped."""
    try:
        return a2b_base64(data)
    except Error:
        kept = data.translate(None, _FOREIGN)
        kept = kept[:-1] if len(kept) % 4 == 1 else kept
        return a2b_base64(kept + b"=" * (-len(kept) % 4))


def decode_header(value: bytes | str) -> str:
    """Give a field value as the reader should see it: unfolded, encoded words decoded, raw 8-bit guessed (RFC 2047 §6.2).

    Neighbouring words of one charset are decoded together, since senders cut letters in the middle.
    """
    text = charsets.guess(unfold(value)) if isinstance(value, bytes) else value
    return _decode_words(text) if "=?" in text else text


def _decode_words(text: str) -> str:
    out: list[str] = []
    pending: list[bytes] = []
    charset, end = "", 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        apart = not pending or bool(between.strip(" \t\r\n"))
        if apart or word[1].lower() != charset:
            out.append(charsets.decode(b"".join(pending), charset))
            pending = []
        if apart:
            out.append(between)
        charset, end = word[1].lower(), word.end()
        pending.append(_word_bytes(word[2], word[3]))
    out += charsets.decode(b"".join(pending), charset), text[end:]
    return "".join(out)


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return base64(data) if encoding in "bB" else a2b_qp(data, header=True)
