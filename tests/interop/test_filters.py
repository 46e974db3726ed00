"""The filters of Debian, ClamAV and SpamAssassin, asked as a letter comes in: what they find, and what happens once they are gone."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from postroom.mailflow.assessment import Content, Verdict
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.filters.filters import Filters
from postroom.mailflow.filters.settings import Settings
from postroom.mailflow.screening import Arrival
from tests.ports import free_port

CLAMD, SPAMD = "/usr/sbin/clamd", "/usr/sbin/spamd"
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
HEADER = b"From: A <a@b.test>\r\nTo: c@d.test\r\nSubject: Lunch\r\nMessage-ID: <1@b.test>\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n\r\n"
START_SECONDS = 25.0

pytestmark = pytest.mark.skipif(not (os.path.exists(CLAMD) and os.path.exists(SPAMD)), reason="needs clamd and spamd")


class Letter:
    """A letter in memory."""

    def __init__(self, body: bytes) -> None:
        self.octets = HEADER + body + b"\r\n"

    def read(self) -> bytes:
        return self.octets


@contextmanager
def served(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it is no longer wanted; ready once it takes a connection."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < until, f"{command[0]} does not start"
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    folder = tmp_path_factory.mktemp("filters")
    with ExitStack() as stack:
        virus, spam = free_port(), free_port()
        stack.enter_context(clamd(folder, virus))
        options = ["-L", "-m", "1", "-i", "127.0.0.1", "-p", str(spam), "-H", str(folder), "-x", "-u", "nobody"]
        stack.enter_context(served([SPAMD, *options], spam))
        yield virus, spam


def clamd(folder: Path, port: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a clamd that knows one signature."""
    home = folder / f"clamd-{port}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    (home / "own.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
    lines = ["Foreground yes", f"TCPSocket {port}", "TCPAddr 127.0.0.1", f"DatabaseDirectory {home}", f"User {getpass.getuser()}"]
    (home / "conf").write_text("\n".join([*lines, ""]))
    return served([CLAMD, "-c", str(home / "conf")], port)


def filters(virus: int, spam: int) -> Filters:
    told = {"clamav": {"address": f"127.0.0.1:{virus}"}, "spamassassin": {"address": f"127.0.0.1:{spam}"}}
    return Filters(msgspec.convert(told, Settings), now=lambda: 1_800_000_000.0)


def judged(asked: Filters, body: bytes) -> Content:
    letter = Letter(body)
    arrival = Arrival("192.0.2.1", "b.test", Envelope(sender="a@b.test", recipients=("c@d.test",)), letter, 0, len(letter.octets))
    return asyncio.run(asked.judge(arrival))


def test_each_finds_what_it_is_for(ports: tuple[int, int]) -> None:
    asked = filters(*ports)
    ham, virus, spam = (judged(asked, body) for body in (b"At noon?", EICAR, GTUBE))
    assert (ham.spam, ham.malware, ham.refuse) == (Verdict.PASS, Verdict.PASS, "")
    assert virus.malware is Verdict.FAIL
    assert "Eicar-Test" in virus.refuse
    assert spam.spam is Verdict.FAIL
    assert "GTUBE" in spam.symbols


def test_without_them_a_letter_passes_and_says_so(ports: tuple[int, int], tmp_path: Path) -> None:
    port = free_port()
    asked = filters(port, ports[1])
    with clamd(tmp_path, port):
        assert judged(asked, EICAR).refuse
    content = judged(asked, EICAR)
    assert (content.malware, content.refuse, content.defer) == (Verdict.PROCESSING_FAILED, "", "")
