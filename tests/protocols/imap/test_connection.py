"""Bytes in, events out; whichever way the bytes are cut."""

import io
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.protocols.imap.connection import PROMPT, STRANGER, Connection, Event, Limits, Order, Overflow, Refusal, Reply
from postroom.protocols.imap.grammar import commands
from postroom.protocols.imap.literals import Allowance, Room

SMALL = Limits(line=100, literal=20, command=200, message=1000, memory=50, literals=3)


def connection(limits: Limits = SMALL, allowance: Allowance | None = None) -> Connection:
    return Connection(limits, Room(allowance or Allowance(10_000), Allowance(10_000), io.BytesIO))


def events(wire: Connection, *chunks: bytes) -> list[Event]:
    """Everything the wire says to some bytes; literals are read while they are there."""
    found: list[Event] = []
    for chunk in chunks:
        wire.receive(chunk)
        while (event := wire.next_event()) is not None:
            if isinstance(event, Order) and isinstance(event.command, commands.Append):
                found.append(Reply(b"|".join(message.content.read() for message in event.command.messages)))
            else:
                found.append(event)
            if isinstance(event, Order):
                wire.release()
    return found


def test_commands_come_one_by_one() -> None:
    assert events(connection(), b"a NOOP\r\nb noop\nc CHECK\r\n") == [
        Order(b"a", commands.Noop()),
        Order(b"b", commands.Noop()),
        Order(b"c", commands.Check()),
    ]


def test_empty_lines_say_nothing() -> None:
    assert events(connection(), b"\r\n\r\na NOOP\r\n") == [Order(b"a", commands.Noop())]


@pytest.mark.parametrize(("noise", "orders"), [(b"\n", 0), (b"\r\n", 0), (b"b NOOP\n", 1)])
def test_much_at_once_takes_time_in_proportion(noise: bytes, orders: int) -> None:
    count = (1 << 20) // len(noise)
    wire = connection()
    wire.receive(noise * count + b"a CHECK\r\n")
    began, found = time.process_time(), 0
    while (event := wire.next_event()) is not None:
        found += isinstance(event, Order)
    assert found == orders * count + 1
    assert time.process_time() - began < 5
    assert wire.waiting == 0


def test_a_line_of_blanks_is_no_command() -> None:
    assert events(connection(), b"  \r\na NOOP\r\n") == [
        Refusal(b"*", b"BAD", b"", "A tag and a command are expected."),
        Order(b"a", commands.Noop()),
    ]


def test_a_literal_waits_for_leave_unless_it_does_not() -> None:
    wire = connection()
    assert events(wire, b"a LOGIN {5}\r\n") == [PROMPT]
    assert events(wire, b"alice {3+}\r\npw!\r\n") == [Order(b"a", commands.Login(b"alice", b"pw!"))]


@pytest.mark.parametrize("text", [b"a LOGIN {5+}\r\nal\r\ne {3+}\r\na\nb\r\nb APPEND x {7+}\r\nab\r\ncd\r\r\nc NOOP\r\n"])
def test_it_does_not_matter_how_bytes_are_cut(text: bytes) -> None:
    expected = events(connection(), text)
    assert [type(event) for event in expected] == [Order, Reply, Order]
    assert events(connection(), *(bytes([byte]) for byte in text)) == expected
    for cut in range(len(text)):
        assert events(connection(), text[:cut], text[cut:]) == expected


def test_large_literals_go_to_a_spool_and_count() -> None:
    memory, spools = Allowance(60), Allowance(2000)
    files: list[io.BytesIO] = []

    def spool() -> io.BytesIO:
        files.append(io.BytesIO())
        return files[-1]

    wire = Connection(SMALL, Room(memory, spools, spool))
    wire.receive(b"a APPEND x {900+}\r\n" + b"m" * 900 + b" {40+}\r\n" + b"n" * 40 + b" {30+}\r\n" + b"o" * 30 + b"\r\n")
    event = wire.next_event()
    assert isinstance(event, Order)
    assert isinstance(event.command, commands.Append)
    assert [message.content.read() for message in event.command.messages] == [b"m" * 900, b"n" * 40, b"o" * 30]
    assert (len(files), memory.left, spools.left) == (2, 20, 1070)
    wire.release()
    assert all(file.closed for file in files)
    assert (memory.left, spools.left) == (60, 2000)


def test_a_literal_too_large_is_refused_before_it_comes() -> None:
    assert events(connection(), b"a LOGIN {21}\r\n", b"b NOOP\r\n") == [
        Refusal(b"a", b"NO", b"TOOBIG", "The literal is too large."),
        Order(b"b", commands.Noop()),
    ]


def test_a_literal_too_large_that_comes_anyway_is_dropped() -> None:
    text = b"a APPEND x {5000+}\r\n" + b"b NOOP\r\n" * 625 + b" (\\Seen) {30+}\r\n" + b"c" * 30 + b"\r\nd NOOP\r\n"
    assert events(connection(), *(text[at : at + 100] for at in range(0, len(text), 100))) == [
        Refusal(b"a", b"NO", b"TOOBIG", "The literal is too large."),
        Order(b"d", commands.Noop()),
    ]


def test_the_name_of_a_mailbox_is_no_message() -> None:
    assert events(
        connection(), b"a APPEND {21+}\r\n" + b"n" * 21 + b" {3+}\r\nabc\r\nb append {1+}\r\nx {30+}\r\n" + b"m" * 30 + b"\r\n"
    ) == [
        Refusal(b"a", b"NO", b"TOOBIG", "The literal is too large."),
        Reply(b"m" * 30),
    ]


def test_messages_of_one_append_share_the_limit() -> None:
    wire = connection()
    found = events(wire, b"a APPEND x {600+}\r\n" + b"m" * 600 + b" {600+}\r\n" + b"m" * 600 + b"\r\nb NOOP\r\n")
    assert found == [Refusal(b"a", b"NO", b"TOOBIG", "The literal is too large."), Order(b"b", commands.Noop())]


def test_nothing_more_is_taken_when_there_is_no_room() -> None:
    room = Room(Allowance(5), Allowance(30), io.BytesIO)
    first, second = Connection(SMALL, room), Connection(SMALL, room)
    assert events(first, b"a LOGIN {20}\r\n") == [PROMPT]
    busy = Refusal(b"b", b"NO", b"UNAVAILABLE", "The server is busy; try again later.")
    assert events(second, b"b LOGIN {20}\r\n") == [busy]
    first.close()
    assert events(second, b"c LOGIN {20}\r\n") == [PROMPT]


def test_too_many_literals() -> None:
    assert events(connection(), b"a SEARCH {1+}\r\nx {1+}\r\nx {1+}\r\nx {1+}\r\nx\r\nb NOOP\r\n") == [
        Refusal(b"a", b"BAD", b"", "The command has too many literals."),
        Order(b"b", commands.Noop()),
    ]


def test_small_literals_count_with_their_command() -> None:
    wire = connection(Limits(line=100, literal=20, command=60, message=1000, memory=50, literals=9))
    assert events(wire, b"a SEARCH {20+}\r\n" + b"x" * 20 + b" {20+}\r\n" + b"x" * 20 + b" SEEN\r\nb NOOP\r\n") == [
        Refusal(b"a", b"BAD", b"", "The command is too long."),
        Order(b"b", commands.Noop()),
    ]


@pytest.mark.parametrize(
    "text",
    [b"a SEARCH {9+}\r\nxxxxxxxxx {21+}\r\n" + b"x" * 21 + b"\r\n", b"a WHAT {9+}\r\nxxxxxxxxx\r\n", b'"a {9+}\r\nxxxxxxxxx\r\n'],
)
def test_the_room_of_what_is_refused_is_free_at_once(text: bytes) -> None:
    memory = Allowance(1000)
    wire = connection(allowance=memory)
    assert [type(event) for event in events(wire, text)] == [Refusal]
    assert memory.left == 1000


def test_an_endless_line_is_dropped() -> None:
    wire = connection()
    assert events(wire, b"a SEARCH ", *([b"SEEN " * 50] * 100)) == []
    assert wire.waiting <= SMALL.line + 250
    assert events(wire, b"\r\nb NOOP\r\n") == [
        Refusal(b"a", b"BAD", b"", "The line is too long."),
        Order(b"b", commands.Noop()),
    ]


def test_strangers_are_not_waited_for() -> None:
    assert events(connection(STRANGER), b"x" * 9000) == [Overflow("The line is too long.")]
    assert events(connection(STRANGER), b"a LOGIN {5000+}\r\n") == [Overflow("The literal is too large.")]
    assert isinstance(events(connection(STRANGER), b"a LOGIN {5000}\r\n")[0], Refusal)
    assert isinstance(events(connection(STRANGER), b"a APPEND x {5000}\r\n")[0], Refusal)


def test_an_asked_line_is_no_command() -> None:
    wire = connection()
    wire.ask()
    assert events(wire, b"DO", b"NE\r\na NOOP\r\n") == [Reply(b"DONE"), Order(b"a", commands.Noop())]
    wire.ask()
    assert events(wire, b"x" * 500, b"\r\nb NOOP\r\n") == [Reply(b"*"), Order(b"b", commands.Noop())]
    wire.ask()
    assert events(wire, b"{5}\r\n") == [Reply(b"{5}")]


def test_what_was_dropped_is_not_heard() -> None:
    wire = connection()
    wire.receive(b"a STARTTLS\r\nb LOGIN eve eve\r\n")
    assert wire.next_event() == Order(b"a", commands.StartTls())
    wire.drop()
    assert wire.next_event() is None


def test_what_is_no_command_is_answered_by_its_tag() -> None:
    wire = connection()
    assert [
        (event.tag, event.status)
        for event in events(wire, b"a\r\na what\r\n( x\r\n* NOOP\r\nx\x00y NOOP\r\n")
        if isinstance(event, Refusal)
    ] == [
        (b"a", b"BAD"),
        (b"a", b"BAD"),
        (b"*", b"BAD"),
        (b"*", b"BAD"),
        (b"x", b"BAD"),
    ]


@given(
    st.lists(
        st.sampled_from(
            [b"a ", b"NOOP", b"\r\n", b"{3+}", b"{9}", b"{99999999999}", b"APPEND x ", b'"', b"\\", b"\0", b"abc", b"(", b")", b"DONE"]
        ),
        max_size=40,
    )
)
def test_nothing_a_client_sends_raises(pieces: list[bytes]) -> None:
    allowance = Allowance(5000)
    wire = connection(allowance=allowance)
    events(wire, *pieces)
    events(wire, *itertools.repeat(b"\r\n", 3))
    wire.close()
    assert allowance.left == 5000
