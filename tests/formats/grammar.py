"""A strict reader of rendered ENVELOPE and BODYSTRUCTURE, written from the grammar of RFC 9051 §9."""

import re
from typing import Any

_STRING = re.compile(rb'"((?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_NUMBER = re.compile(rb"\d{1,10}")


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, token: bytes) -> bool:
        found = self.data.startswith(token, self.at)
        self.at += len(token) * found
        return found

    def need(self, token: bytes) -> None:
        assert self.take(token), (token, self.data[self.at : self.at + 80])

    def string(self) -> bytes:
        if match := _STRING.match(self.data, self.at):
            self.at = match.end()
            return re.sub(rb"\\(.)", rb"\1", match[1])
        match = _LITERAL.match(self.data, self.at)
        assert match, self.data[self.at : self.at + 80]
        self.at = match.end() + int(match[1])
        value = self.data[match.end() : self.at]
        assert len(value) == int(match[1])
        assert b"\0" not in value
        return value

    def nstring(self) -> bytes | None:
        return None if self.take(b"NIL") else self.string()

    def number(self) -> int:
        match = _NUMBER.match(self.data, self.at)
        assert match, self.data[self.at : self.at + 80]
        self.at = match.end()
        return int(match[0])

    def end(self) -> None:
        assert self.at == len(self.data), self.data[self.at : self.at + 80]


def envelope(data: bytes) -> list[Any]:
    reader = Reader(data)
    found = _envelope(reader)
    reader.end()
    return found


def _envelope(reader: Reader) -> list[Any]:
    reader.need(b"(")
    out: list[Any] = []
    for index in range(10):
        if index:
            reader.need(b" ")
        out.append(_addresses(reader) if 2 <= index <= 7 else reader.nstring())
    reader.need(b")")
    return out


def _addresses(reader: Reader) -> list[tuple[bytes | None, ...]]:
    if reader.take(b"NIL"):
        return []
    reader.need(b"(")
    found, grouped = [], False
    while not reader.take(b")"):
        reader.need(b"(")
        one: list[bytes | None] = []
        for index in range(4):
            if index:
                reader.need(b" ")
            one.append(reader.nstring())
        reader.need(b")")
        if one[3] is None:
            assert one[0] is None
            assert one[1] is None
            assert (one[2] is None) is grouped
            grouped = one[2] is not None
        else:
            assert one[2] is not None
        found.append(tuple(one))
    assert found
    assert not grouped
    return found


def structure(data: bytes, *, extended: bool = True) -> Any:
    reader = Reader(data)
    found = _body(reader, extended)
    reader.end()
    return found


def _body(reader: Reader, extended: bool) -> Any:
    """Read a body; give (type, children) of multiparts, (type, octets, lines or None, envelope, body) of the rest."""
    reader.need(b"(")
    if reader.data.startswith(b"(", reader.at):
        children = []
        while reader.data.startswith(b"(", reader.at):
            children.append(_body(reader, extended))
        reader.need(b" ")
        subtype = reader.string()
        if extended:
            reader.need(b" ")
            _parameters(reader)
            _rest(reader)
        reader.need(b")")
        return b"multipart/" + subtype, children
    return _leaf(reader, extended)


def _leaf(reader: Reader, extended: bool) -> Any:
    kind = reader.string()
    reader.need(b" ")
    subtype = reader.string()
    assert kind
    assert subtype
    assert kind != b"multipart"
    reader.need(b" ")
    _parameters(reader)
    for _ in range(2):
        reader.need(b" ")
        reader.nstring()
    reader.need(b" ")
    assert reader.string()
    reader.need(b" ")
    octets, lines, inner = reader.number(), None, None
    if (kind, subtype) == (b"message", b"rfc822"):
        reader.need(b" ")
        _envelope(reader)
        reader.need(b" ")
        inner = _body(reader, extended)
    if kind == b"text" or inner:
        reader.need(b" ")
        lines = reader.number()
    if extended:
        reader.need(b" ")
        reader.nstring()
        _rest(reader)
    reader.need(b")")
    return kind + b"/" + subtype, octets, lines, inner


def _parameters(reader: Reader) -> None:
    if reader.take(b"NIL"):
        return
    reader.need(b"(")
    while True:
        reader.string()
        reader.need(b" ")
        reader.string()
        if reader.take(b")"):
            return
        reader.need(b" ")


def _rest(reader: Reader) -> None:
    reader.need(b" ")
    if not reader.take(b"NIL"):
        reader.need(b"(")
        reader.string()
        reader.need(b" ")
        _parameters(reader)
        reader.need(b")")
    reader.need(b" ")
    if not reader.take(b"NIL"):
        reader.need(b"(")
        reader.string()
        while not reader.take(b")"):
            reader.need(b" ")
            reader.string()
    reader.need(b" ")
    reader.nstring()
