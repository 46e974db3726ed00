"""Framing: events do not depend on how the octets were cut, and only CRLF.CRLF ends content."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.protocols.smtp.connection import BadLine, Connection, Content, End, Line, Smuggling

PIECES = [b"\r\n", b"\n", b"\r", b".", b"a", b"\r\n.\r\n", b"\r\n..", b"\r\n.", b"bb", b"\0"]


def events(connection: Connection, octets: bytes, cuts: random.Random, most: int) -> list[object]:
    """Feed octets in random pieces; contents are joined."""
    found: list[object] = []
    at = 0
    while at < len(octets):
        size = cuts.randint(1, most)
        connection.receive(octets[at : at + size])
        at += size
        while (event := connection.next()) is not None:
            if isinstance(event, Content) and found and isinstance(found[-1], Content):
                found[-1] = Content(found[-1].octets + event.octets)
            else:
                found.append(event)
            if isinstance(event, Smuggling):
                return found
    return found


def of_content(octets: bytes, seed: int = 0, most: int = 10_000) -> list[object]:
    connection = Connection()
    connection.expect_content()
    return events(connection, octets, random.Random(seed), most)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_content_is_what_a_plain_reading_says_however_it_is_cut(octets: bytes, seed: int) -> None:
    octets += b"\r\n.\r\n"
    whole = of_content(octets)
    cut = of_content(octets, seed, 5)
    if Smuggling() in whole or Smuggling() in cut:
        assert whole[-1] == cut[-1] == Smuggling()
        assert re.search(rb"(^|[^\r])\n\.|\r\.|\.\n|\.\r[^\n]", b"\r\n" + octets)
        return
    assert whole == cut
    framed = b"\r\n" + octets
    end = framed.find(b"\r\n.\r\n")
    text = framed[: end + 2].replace(b"\r\n.", b"\r\n")[2:]
    assert b"".join(event.octets for event in whole[:2] if isinstance(event, Content)) == text
    fault = next(event.fault for event in whole if isinstance(event, End))
    assert bool(fault) == bool(re.search(rb"(?<!\r)\n|\r(?!\n)|\0", framed[: end + 5]))


def test_a_fault_is_forgotten_with_its_message() -> None:
    connection = Connection()
    for octets, fault in ((b"a\nb\0\r\n.\r\n", "bare CR or LF"), (b"a\r\n.\r\n", "")):
        connection.expect_content()
        assert events(connection, octets, random.Random(0), 10_000)[-1] == End(fault)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join), st.integers(0, 2**32), st.integers(0, 20))
@settings(max_examples=200, deadline=None)
def test_chunks_are_counted_not_read(octets: bytes, seed: int, cut: int) -> None:
    connection = Connection()
    first, second = octets[:cut], octets[cut:]
    connection.expect_chunk(len(first), fresh=True)
    found = events(connection, first, random.Random(seed), 3) or [connection.next()]
    assert isinstance(found[-1], End)
    connection.expect_chunk(len(second), fresh=False)
    found += events(connection, second, random.Random(seed), 3) or [connection.next()]
    assert b"".join(event.octets for event in found if isinstance(event, Content)) == octets
    assert bool(connection.final_fault()) == bool(re.search(rb"(?<!\r)\n|\r(?!\n)|\0", octets))


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b".\r\n", [End("")]),
        (b"..\r\n.\r\n", [Content(b".\r\n"), End("")]),
        (b"a\r\n.\r\nQUIT\r\n", [Content(b"a\r\n"), End(""), Line(b"QUIT")]),
        (b"a\nb\r\n.\r\n", [Content(b"a\nb\r\n"), End("bare CR or LF")]),
        (b"a\r\rb\r\n.\r\n", [Content(b"a\r\rb\r\n"), End("bare CR or LF")]),
        (b"\0\r\n.\r\n", [Content(b"\0\r\n"), End("NUL")]),
    ],
)
def test_contents(octets: bytes, found: list[object]) -> None:
    assert of_content(octets) == found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (before, after)
        for before in (b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r")
        for after in (b"\n", b"\r\r\n", b"\rX", b"\r\n")
        if (before, after) != (b"\r\n", b"\r\n")
    ],
)
def test_every_false_end_is_seen_at_once(before: bytes, after: bytes) -> None:
    for most in (1, 1000):
        assert of_content(b"text" + before + b"." + after, most=most)[-1] == Smuggling()


def test_lines() -> None:
    connection = Connection()
    connection.receive(b"A\r\nB\nC\rD\r\n\0\r\n" + b"x" * 5000 + b"\r\nE\r\nF")
    found = []
    while (event := connection.next()) is not None:
        found.append(event)
    assert found == [Line(b"A"), BadLine("bare LF"), BadLine("bare CR"), BadLine("NUL"), BadLine("too long"), Line(b"E")]
    assert connection.pending == 1


def test_an_endless_line_is_not_kept() -> None:
    connection = Connection()
    for _ in range(1000):
        connection.receive(b"x" * 4096)
        assert connection.next() is None
        assert connection.pending <= 4096
    connection.receive(b"\r\nQUIT\r\n")
    assert connection.next() == BadLine("too long")
    assert connection.next() == Line(b"QUIT")


def test_forget_drops_what_is_pending() -> None:
    connection = Connection()
    connection.receive(b"MAIL FROM:<")
    connection.forget()
    connection.receive(b"QUIT\r\n")
    assert connection.next() == Line(b"QUIT")
