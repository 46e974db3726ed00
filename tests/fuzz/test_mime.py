"""No bytes make the message formats raise, hang, swell or answer outside the grammar; a fixed budget of hostile ones."""

import random
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.formats import headers, parts, sections
from postroom.formats.message import summarize, texts
from postroom.formats.parts import Part
from tests.formats import grammar
from tests.formats.letters import LETTERS

SPECS = ("HEADER", "TEXT", "1", "1.MIME", "2.HEADER", "2.1", "HEADER.FIELDS (Subject To)", "HEADER.FIELDS.NOT (Subject)")
WORDS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"--b", b"--b--", b"--", b"Content-Type: ", b"multipart/mixed; boundary=b", b"message/rfc822", b";", b'"',
    b"\\", b"(", b")", b"<", b">", b",", b":", b"@", b"=?utf-8?q?", b"?=", b"\0", b"\xff", b" ", b"\t", b"To: ", b"From: ", b"Content-Transfer-Encoding: base64",
    b"filename*0*=", b"'", b"%", b"boundary=", b"text/html\r\n\r\n<", b"&#x110000;", b"Date: ", b"{3}\r\n",
]  # fmt: skip


def check(raw: bytes) -> None:
    """Everything that may be asked of a letter, asked."""
    summary = summarize(raw)
    assert summary.size == len(raw)
    root = parts.unpack(summary.parts)
    check_offsets(root, 0, len(raw))
    assert root.header_start == 0
    assert root.end == len(raw)
    grammar.envelope(summary.envelope)
    grammar.structure(summary.structure)
    grammar.structure(sections.body(summary.structure), extended=False)
    for spec in SPECS:
        cut = sections.section(raw, summary.parts, spec)
        assert cut is None or isinstance(cut, bytes)
    for value in (summary.subject, summary.sender, summary.to, *(words := (texts(raw).header, texts(raw).body))):
        value.encode()
    assert max(map(len, words)) <= 1 << 20
    sections.headers(raw)
    headers.addresses(raw[:2_000])
    assert headers.received_count(headers.remove(raw, "Received")) == 0


def check_offsets(part: Part, start: int, stop: int) -> None:
    assert start <= part.header_start <= part.body_start <= part.end <= stop
    at = part.body_start
    for child in part.children:
        check_offsets(child, at, part.end)
        at = child.end


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """Cut, repeat, splice and salt a letter a few times."""
    for _ in range(dice.randint(1, 6)):
        at, to = sorted((dice.randint(0, len(raw)), dice.randint(0, len(raw))))
        choice = dice.randrange(5)
        if choice == 0:
            raw = raw[:at] + raw[to:]
        elif choice == 1:
            raw = raw[:to] + raw[at:to] + raw[to:]
        elif choice == 2:
            other = dice.choice(list(LETTERS.values()))
            raw = raw[:at] + other + raw[at:]
        else:
            raw = raw[:at] + dice.choice(WORDS) + raw[at + choice - 3 :]
    return raw


@pytest.mark.parametrize("name", LETTERS)
def test_mutated_letters(name):
    dice = random.Random(name)
    for _ in range(25):
        check(mutated(LETTERS[name], dice))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=60).map(b"".join))
def test_word_salad(raw):
    check(raw)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(raw):
    check(raw)


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HTML = b"Content-Type: text/html\r\n\r\n"
MEGABYTE = 1_000_000
FAMILIES = {
    "one long field": (b"Subject: ", b"x"),
    "short fields": (b"", b"X: y\r\n"),
    "many from": (b"", b"From: a@b, c@d\r\n"),
    "folds": (b"Subject: x", b"\r\n y"),
    "no field": (b"", b"a\n"),
    "line feeds": (b"", b"\n"),
    "carriage returns": (b"", b"\r"),
    "NULs": (b"", b"\0"),
    "addresses": (b"To: ", b"a@b,"),
    "parentheses": (b"To: ", b"("),
    "closing parentheses": (b"To: ", b")"),
    "quotes": (b"To: ", b'"\\'),
    "groups": (b"To: ", b"a:"),
    "angles": (b"To: ", b"<"),
    "ats": (b"To: ", b"@"),
    "words": (b"To: ", b"a "),
    "brackets": (b"To: ", b"["),
    "encoded words": (b"Subject: ", b"=?utf-8?q?a?= "),
    "broken encoded words": (b"Subject: ", b"=?a?q?"),
    "base64 words": (b"Subject: ", b"=?utf-7?b?K0E?= "),
    "date digits": (b"Date: ", b"1 "),
    "nested messages": (b"", b"Content-Type: message/rfc822\r\n\r\n"),
    "parts": (MIXED, b"--b\r\n\r\nx\r\n"),
    "empty parts": (MIXED, b"--b\r\n"),
    "parts without empty line": (MIXED, b"--b\r\nContent-Type: text/plain\r\n"),
    "messages": (MIXED, b"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@b\r\n\r\nx\r\n"),
    "look-alikes": (MIXED, b"--b1\r\n"),
    "long blanks behind": (MIXED, b"--b" + b" " * 5_000 + b"x\r\n"),
    "dashes": (MIXED, b"--\n"),
    "same boundary": (MIXED, b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"),
    "closing": (MIXED, b"--b--\r\n"),
    "parameters": (b"Content-Type: a/b", b";a=b"),
    "open quotes": (b"Content-Type: a/b", b';a="\\"'),
    "blank parameters": (b"Content-Type: a/b;", b" "),
    "comments": (b"Content-Type: a/b;", b" ("),
    "disposition": (b"Content-Disposition: attachment", b"; filename*0=a"),
    "languages": (b"Content-Language: ", b"a,"),
    "html angles": (HTML, b"<"),
    "html styles": (HTML, b"<style>"),
    "html style pairs": (HTML, b"<style></style"),
    "html comments": (HTML, b"<!--"),
    "html entities": (HTML, b"&ampxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    "html numbers": (HTML + b"&#", b"9"),
    "quoted-printable": (b"Content-Transfer-Encoding: quoted-printable\r\n\r\n", b"="),
    "base64": (b"Content-Transfer-Encoding: base64\r\n\r\n", b"A!"),
    "utf-7": (b"Content-Type: text/plain; charset=utf-7\r\n\r\n", b"+AAA"),
    "iso-2022": (b"Content-Type: text/plain; charset=iso-2022-kr\r\n\r\n", b"\x1b$)C\x0e"),
}


def swollen(name: str, size: int) -> bytes:
    head, unit = FAMILIES[name]
    return head + unit * (size // len(unit))


@pytest.mark.parametrize("name", FAMILIES)
def test_hostile_families_take_time_in_proportion(name):
    """A megabyte of each takes well under a second; a quadratic step would take minutes."""
    raw = swollen(name, MEGABYTE)
    started = time.process_time()
    summary = summarize(raw)
    texts(raw)
    sections.body(summary.structure)
    for spec in SPECS:
        sections.section(raw, summary.parts, spec)
    headers.find_all(raw, "Received")
    headers.addresses(raw[:100_000])
    assert time.process_time() - started < 10
    assert len(summary.envelope) + len(summary.structure) + len(summary.parts) < 4 * MEGABYTE


def levels(count: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n" % (level, level) for level in range(count))


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: " + b"x" * 40 * MEGABYTE,
        b"X-Nothing: y\r\n" * 3_000_000,
        b"Subject: x" + b"\r\n y" * 1_000_000,
        b"a\r\n" * 13_000_000,
        levels(10_000),
        MIXED + b"--b\r\n\r\nx\r\n" * 100_000,
        levels(45) + b"--b44x\r\n\r\nx\r\n" * 100_000,
        b"\r\n" + b"x" * 40 * MEGABYTE,
    ],
    ids=["long field", "many fields", "many folds", "many lines", "deep", "wide", "deep and wide", "long body"],
)
def test_memory_stays_in_bounds(raw):
    """At most the message once more (a section of it is a copy), and 60 MB."""
    tracemalloc.start()
    started = time.process_time()
    summary = summarize(raw)
    texts(raw)
    assert len(sections.section(raw, summary.parts, "HEADER.FIELDS (Subject)")) <= len(raw) + 4
    headers.received_count(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(raw) + 60 * MEGABYTE
    assert time.process_time() - started < 60
