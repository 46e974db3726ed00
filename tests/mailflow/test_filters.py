"""What filters answer, what is no answer, and what becomes of several opinions."""

import asyncio
import contextlib
import io
import struct
import threading
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.formats import zip_listing
from postroom.mailflow import greylisting
from postroom.mailflow.assessment import Content, Verdict
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.filters import attachments, blocklists, clamav, header_signs, opinions, rspamd, spamassassin, verdict_lines, wire
from postroom.mailflow.filters.filters import Filters
from postroom.mailflow.filters.opinions import Opinion
from postroom.mailflow.filters.settings import Greylisting, Settings
from postroom.mailflow.filters.wire import Breaker, Unavailable
from postroom.mailflow.greylisting import Step
from postroom.mailflow.screening import Arrival
from postroom.protocols.smtp.rates import Leaks, Rates
from postroom.protocols.smtp.settings import Settings as SmtpSettings

NOW = 1_800_000_000.0
GOOD = b"From: A <a@b.test>\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <1@b.test>\r\n\r\nhi\r\n"


@pytest.mark.parametrize("read", [rspamd.read, spamassassin.read, clamav.read])
@given(st.binary(max_size=300))
def test_garbage_is_no_answer(read, answer: bytes) -> None:
    with contextlib.suppress(Unavailable):
        read(answer)


def test_answers_are_put_on_one_scale() -> None:
    junk = rspamd.read(b'{"score": 9, "required_score": 15, "action": "add header", "symbols": {"A": {}}}')
    assert (junk.score, junk.symbols, junk.refuse) == (1.0, ("A",), "")
    assert rspamd.read(b'{"score": 20, "required_score": 15, "action": "reject"}').refuse
    assert not rspamd.read(b'{"score": 20, "required_score": 15, "action": "reject"}', reject=False).refuse
    assert rspamd.read(b'{"score": 2, "required_score": 15, "action": "soft reject"}').defer
    assert spamassassin.read(b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 10.0 / 5.0\r\n\r\nA,B").score == 2.0
    assert clamav.read(b"stream: Eicar FOUND\0").found == "Eicar"
    assert clamav.read(b"stream: OK\0") == Opinion()


def test_the_strictest_source_counts() -> None:
    content = opinions.combine([Opinion(0.5, ("A",)), Opinion(1.2, ("B",)), Opinion(failed="malware")])
    assert (content.spam, content.malware, content.score) == (Verdict.FAIL, Verdict.PROCESSING_FAILED, 1.2)
    assert not content.refuse
    assert opinions.combine([Opinion(2.0)], refuse_score=2.0).refuse


@pytest.mark.parametrize(
    ("raw", "symbols"),
    [
        (GOOD, ()),
        (GOOD.replace(b"Message-ID", b"X-Id"), ("MISSING_MESSAGE_ID",)),
        (GOOD.replace(b"Date:", b"X-Date:"), ("MISSING_DATE",)),
        (GOOD.replace(b"2027", b"2030"), ("DATE_IN_FUTURE",)),
        (GOOD.replace(b"A <", b'"boss@bank.test" <'), ("FROM_NAME_HAS_OTHER_ADDRESS",)),
        (b"Subject: a\r\nSubject: b\r\n" + GOOD, ("MULTIPLE_UNIQUE_HEADERS",)),
    ],
)
def test_signs_in_the_header(raw: bytes, symbols: tuple[str, ...]) -> None:
    assert header_signs.look(raw, NOW).symbols == symbols


def _attached(name: str, body: bytes) -> bytes:
    import base64

    head = b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=" + name.encode()
    return head + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(body).replace(b"\n", b"\r\n")


def _zip(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return packed.getvalue()


def test_programs_are_found_by_name_and_within_archives() -> None:
    settings = Settings(attachments="refuse")
    assert attachments.look(_attached("a.pdf.EXE", b"x"), settings).refuse
    assert attachments.look(_attached("a.zip", _zip("b/notes.txt", "b/setup.scr")), settings).symbols == ("EXECUTABLE_IN_ARCHIVE",)
    assert attachments.look(_attached("a.zip", _zip("notes.txt")), settings) == Opinion()
    assert not attachments.look(_attached("a.exe", b"x"), Settings(attachments="junk")).refuse


@given(st.binary(max_size=400), st.integers(0, 200))
def test_a_broken_archive_is_read_to_an_end(octets: bytes, at: int) -> None:
    archive = _zip("a.txt", "b.exe")
    zip_listing.read(octets)
    zip_listing.read(archive[:at] + octets + archive[at:])
    zip_listing.read(octets + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(octets), 0, 0))


def test_strangers_do_not_say_what_filters_think() -> None:
    raw = b"Return-Path: <a@b.test>\r\nReceived: from x\r\n\tby y\r\nX-Spam-Flag: NO\r\nSubject: s\r\n\r\nx-spam-flag: kept\r\n"
    stamped = verdict_lines.stamp(raw, Content(spam=Verdict.FAIL, score=1.5, symbols=("A", "B")))
    assert b"X-Spam-Flag: NO" not in stamped
    assert b"\tby y\r\nX-Spam-Flag: YES\r\nX-Spam-Status: Yes, score=1.50 required=1.00 tests=A,B\r\nSubject" in stamped
    assert stamped.endswith(b"x-spam-flag: kept\r\n")
    assert b"X-Spam" not in verdict_lines.stamp(raw, Content())


def test_a_dead_filter_is_left_alone_and_tried_again() -> None:
    clock = [0.0]
    breaker = Breaker(lambda: clock[0])
    for _ in range(3):
        assert not breaker.open
        breaker.failed()
    assert breaker.open
    clock[0] = 31.0
    assert (breaker.open, breaker.open) == (False, True)
    breaker.succeeded()
    assert not breaker.open


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nx", b"x" * (wire.ANSWER_LIMIT + 10)])
async def test_a_hostile_filter_says_nothing(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            rspamd._split(await wire.converse(f"127.0.0.1:{port}", [b"x" * 100], 5.0))


def test_listings_are_told_from_refusals() -> None:
    assert blocklists.question("192.0.2.99") == "99.2.0.192"
    assert blocklists.is_listing(["127.0.0.2"])
    assert not blocklists.is_listing(["127.255.255.254"])
    assert not blocklists.is_listing(["198.51.100.7"])


def test_greylisting_steps() -> None:
    settings = Greylisting()
    assert greylisting.decide(settings, NOW, network=None, triplet=None) is Step.BEGIN
    assert greylisting.decide(settings, NOW, network=None, triplet=(0, int(NOW) - 10, int(NOW) - 10)) is Step.WAIT
    assert greylisting.decide(settings, NOW, network=None, triplet=(0, int(NOW) - 301, 0)) is Step.LEARN
    assert greylisting.decide(settings, NOW, network=(1, 0, int(NOW) - 10), triplet=None) is Step.PASS
    assert greylisting.decide(settings, NOW, network=(1, 0, int(NOW) - 36 * 86_400), triplet=None) is Step.BEGIN


def test_rates_drain_with_time() -> None:
    clock = [0.0]
    leaks = Leaks(2, lambda: clock[0])
    assert [leaks.add("a") for _ in range(3)] == [True, True, False]
    clock[0] = 31.0
    assert leaks.add("a")
    rates = Rates(SmtpSettings(unknown_recipients_per_minute=1), lambda: clock[0])
    assert all(rates.name("n") for _ in range(3))
    assert rates.guess("n")
    assert rates.guess("n")
    assert rates.guess("")


class Watched:
    """A letter that tells in which thread it was read."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.thread: threading.Thread | None = None

    def read(self) -> bytes:
        self.thread = threading.current_thread()
        return self.octets


def judged(source: Watched) -> Content:
    envelope = Envelope(sender="a@b.test", recipients=("c@d.test",))
    arrival = Arrival("192.0.2.1", "b.test", envelope, source, 0, len(source.octets))
    return asyncio.run(Filters(now=lambda: NOW).judge(arrival))


def test_a_long_letter_is_not_read_where_all_others_wait() -> None:
    short, long = Watched(GOOD), Watched(GOOD + b"x" * 40_000)
    assert judged(short).spam is judged(long).spam is Verdict.PASS
    assert short.thread is threading.main_thread()
    assert long.thread is not threading.main_thread()


def test_a_sloppy_letter_is_not_junk_by_that_alone() -> None:
    content = judged(Watched(b"From: A <a@b.test>\r\n\r\nhi\r\n"))
    assert content.symbols == ("MISSING_DATE", "MISSING_MESSAGE_ID")
    assert content.spam is Verdict.PASS
