"""Address lists of header fields, read leniently in linear time (RFC 5322 §3.4, §4.4)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_ADDRESSES = 5_000
"""Addresses of one field that are read."""


class Mailbox(NamedTuple):
    """One address as sent: display name, obsolete route, local part, domain.

    A group is spelled as IMAP does: (None, None, name, None) opens it, four Nones close it.
    """

    name: bytes | None
    route: bytes | None
    local: bytes | None
    domain: bytes | None

    @property
    def halved(self) -> bool:
        """Say whether it is no group mark and lacks a part of its address."""
        return self.domain is not None and not (self.local and self.domain)


GROUP_END = Mailbox(None, None, None, None)

_ATEXT = rb"[^\x00-\x20()<>\[\]:;@\\,\"]++"
_PLAIN = re.compile(
    rb"\s*+(?:(?:\"([^\"\\\r\n]*+)\"|([^\x00-\x1f()<>\[\]:;@\\,\"]*+))\s*+<(" + _ATEXT + rb")@(" + _ATEXT + rb")>"
    rb"|(" + _ATEXT + rb")@(" + _ATEXT + rb"))\s*+(,|$)"
)
_PIECE = re.compile(rb"\s*+(?:\"((?:[^\"\\]|\\.)*+)\"?|(\()|(\[[^\]]*+\]?)|([<>:;@,])|([^\s()<>\[:;@,\"]++|[)]))", re.DOTALL)
_COMMENT_MARK = re.compile(rb"\\.|[()]", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def parse(value: bytes) -> list[Mailbox]:
    """Read an unfolded address field; what cannot be read is passed over, nothing raises."""
    found: list[Mailbox] = []
    at = 0
    while match := _PLAIN.match(value, at):
        quoted, words, local, domain, bare_local, bare_domain, comma = match.groups()
        if bare_local is not None:
            found.append(Mailbox(None, None, bare_local, bare_domain))
        else:
            found.append(Mailbox(quoted if quoted is not None else b" ".join(words.split()) or None, None, local, domain))
        at = match.end()
        if not comma or len(found) >= MAX_ADDRESSES:
            return found
    return found + _Reader(MAX_ADDRESSES - len(found)).read(value, at) if value[at:].strip() else found


def specs(value: bytes) -> Iterator[bytes]:
    """Give the addr-specs of a field, quoted again where they must be; group marks and half addresses are left out."""
    for mailbox in parse(value):
        if mailbox.local and mailbox.domain:
            local = mailbox.local
            if re.fullmatch(rb"[^\x00-\x20()<>\[\]:;@\\,\"]+", local) is None:
                local = b'"' + local.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
            yield local + b"@" + mailbox.domain


_AT = b""


@dataclass(slots=True)
class _Address:
    """An address while it is read. An empty word stands for the @ sign."""

    words: list[bytes]
    angle: list[bytes] | None = None
    inside: bool = False
    route: bytes | None = None
    comment: bytes | None = None

    def add(self, word: bytes) -> None:
        (self.angle if self.inside and self.angle is not None else self.words).append(word)

    def mailbox(self) -> Mailbox | None:
        if self.angle is None:
            spec, name = self.words, self.comment
        else:
            spec = self.angle
            name = b" ".join([word or b"@" for word in self.words]) or self.comment
        if not spec and not name:
            return None
        if _AT in spec:
            at = len(spec) - 1 - spec[::-1].index(_AT)
            local, domain = b"".join([word or b"@" for word in spec[:at]]), b"".join(spec[at + 1 :])
        elif self.angle is None and len(spec) > 1:
            name, local, domain = b" ".join(spec), b"", b""
        else:
            local, domain = b"".join(spec), b""
        return Mailbox(name or None, self.route, local, domain)


class _Reader:
    """The whole grammar, piece by piece: groups, comments, routes, quoting, and everything broken."""

    __slots__ = ("address", "found", "grouped", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.found: list[Mailbox] = []
        self.address = _Address([])
        self.grouped = False

    def read(self, value: bytes, at: int) -> list[Mailbox]:
        while len(self.found) < self.limit and (piece := _PIECE.match(value, at)):
            at = piece.end()
            quoted, comment, literal, special, word = piece.groups()
            if special is not None:
                self._special(special)
            elif comment is not None:
                self.address.comment, at = _comment(value, at)
            elif quoted is not None:
                self.address.add(_ESCAPE.sub(rb"\1", quoted) or b'""')
            elif word != b")":
                self.address.add(literal or word)
        self._finish()
        if self.grouped:
            self.found.append(GROUP_END)
        return self.found

    def _special(self, special: bytes) -> None:
        address = self.address
        if special == b"@":
            address.add(_AT)
        elif special == b"<":
            if address.angle:  # two in a row, where readers differ on which one counts: both do
                self._finish()
            self.address.angle, self.address.inside = [], True
        elif special == b">":
            address.inside = False
        elif special == b",":
            self._comma()
        elif special == b":":
            self._colon()
        else:
            self._finish()
            if self.grouped:
                self.found.append(GROUP_END)
                self.grouped = False

    def _comma(self) -> None:
        """End the address, unless the comma stands in an obsolete route (RFC 5322 §4.4)."""
        address = self.address
        if address.inside and address.angle and address.angle[0] == _AT:
            address.angle.append(b",")
        else:
            self._finish()

    def _colon(self) -> None:
        """End a route inside <>, or name a group."""
        address = self.address
        if address.inside and address.angle:
            address.route = b"".join([word or b"@" for word in address.angle])
            address.angle = []
        elif not self.grouped and address.angle is None and address.words and _AT not in address.words:
            self.found.append(Mailbox(None, None, b" ".join(address.words), None))
            self.address, self.grouped = _Address([]), True

    def _finish(self) -> None:
        mailbox = self.address.mailbox()
        if mailbox is not None:
            self.found.append(mailbox)
        self.address = _Address([])


def _comment(value: bytes, start: int) -> tuple[bytes, int]:
    """Read a comment that opened before `start`; return its text and where it ends."""
    depth, at = 1, start
    while mark := _COMMENT_MARK.search(value, at):
        at = mark.end()
        depth += {b"(": 1, b")": -1}.get(mark[0], 0)
        if depth == 0:
            return value[start : at - 1].strip(), at
    return value[start:].strip(), len(value)
