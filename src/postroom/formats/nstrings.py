"""IMAP strings: quoted where the grammar lets them, else literals (RFC 9051 §4.3)."""

import re

_find_unsafe = re.compile(rb'[\x00\r\n"\\\x80-\xff]').search
_find_unquotable = re.compile(rb"[\x00\r\n\x80-\xff]").search


def string(value: bytes) -> bytes:
    """Write a string; 8-bit text and line breaks make it a literal, NUL, which no IMAP string may hold, is left out."""
    if not _find_unsafe(value):
        return b'"' + value + b'"'
    if not _find_unquotable(value):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    value = value.replace(b"\0", b"")
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """Write a string, or NIL for None."""
    return b"NIL" if value is None else string(value)
