"""Framing and words of ManageSieve, and an answer for every error of the domain."""

import inspect

import pytest

from postroom.model import errors as domain
from postroom.model.errors import PostroomError
from postroom.protocols.managesieve.connection import Connection, Overflow, Refusal, Words
from postroom.protocols.managesieve.errors import CODES, answer

ALL = [kind for _, kind in inspect.getmembers(domain, inspect.isclass) if issubclass(kind, PostroomError) and kind is not PostroomError]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_answered(kind: type[PostroomError]) -> None:
    assert kind in CODES
    assert answer(kind("what happened")).line().startswith(b"NO ")


def test_a_command_comes_in_octet_by_octet() -> None:
    wire, found = Connection(100), []
    for octet in b'PUTSCRIPT "a\\"b" {7+}\r\nk{3+}\r\n\r\nHAVESPACE "x" 12\r\n':
        wire.receive(bytes([octet]))
        while (event := wire.next_event()) is not None:
            found.append(event)
    assert found == [Words(("PUTSCRIPT", b'a"b', b"k{3+}\r\n")), Words(("HAVESPACE", b"x", 12))]


def test_what_is_too_large_is_read_away_or_ends_the_connection() -> None:
    wire = Connection(4)
    wire.receive(b'PUTSCRIPT "a" {6+}\r\nNOOP\r\n\r\nNOOP\r\n')
    assert isinstance(wire.next_event(), Refusal)
    assert wire.next_event() == Words(("NOOP",))
    wire.receive(b"x {999999999+}\r\n")
    assert isinstance(wire.next_event(), Overflow)
    wire = Connection(4)
    wire.receive(b"x" * 9000)
    assert isinstance(wire.next_event(), Overflow)
