"""Seals of Postroom's as Debian's rspamd sees them, on letters that were changed before they were sealed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.nameserver import Nameserver
from tests.mailflow.test_sealing import ZONE, passed_on, sealed_by_dkimpy
from tests.ports import free_port

RSPAMD = "/usr/bin/rspamd"
START_SECONDS = 40.0
PLAIN = b"From: Ann <a@far.test>\r\nTo: b@ours.test\r\nSubject: hello\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngr\xc3\xbc\xc3\x9fe  \r\n\r\n"
CONFIGURATION = """
options {
  filters = "dkim"; url_tld = "FOLDER/tld"; cache_file = "FOLDER/cache"; history_file = "FOLDER/history"; tempdir = "FOLDER";
  pidfile = "FOLDER/pid"; disable_hyperscan = true; local_addrs = [];
  dns { nameserver = ["127.0.0.1:DNS:1"]; timeout = 2s; }
}
logging { type = "file"; filename = "FOLDER/log"; level = "info"; }
worker "normal" { bind_socket = "127.0.0.1:PORT"; count = 1; task_timeout = 10s; }
modules { path = "/usr/share/rspamd/plugins/arc.lua"; }
arc { allow_hdrfrom_mismatch = true; sign_local = false; sign_authenticated = false; }
dkim { }
"""

pytestmark = [pytest.mark.interop, pytest.mark.skipif(not os.path.exists(RSPAMD), reason="Debian's rspamd is not installed")]


@pytest.fixture(scope="module")
def symbols(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes], set[str]]]:
    """An rspamd with nothing but its checks of DKIM and ARC: what it finds in a letter."""
    folder, port = tmp_path_factory.mktemp("rspamd"), free_port()
    with ExitStack() as stack:
        zone = {where: [f'"{text[:200]}" "{text[200:]}"'] for where, (text,) in ZONE.items()}
        nameserver = stack.enter_context(Nameserver(zone))
        process = subprocess.Popen([RSPAMD, "-f", "-i", "-c", configured(folder, port, nameserver.port)], stdout=subprocess.DEVNULL)
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        wait_for(port, process)

        def ask(raw: bytes) -> set[str]:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/checkv2", data=raw, headers={"IP": "192.0.2.9"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return set(json.load(answer)["symbols"])

        yield ask


def configured(folder: Path, port: int, dns: int) -> str:
    (folder / "tld").write_text("test\n")
    text = CONFIGURATION.replace("FOLDER", str(folder)).replace("PORT", str(port)).replace("DNS", str(dns))
    (folder / "conf").write_text(text)
    return str(folder / "conf")


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            assert process.poll() is None, "rspamd ended"
            assert time.monotonic() < until, "rspamd does not start"
            time.sleep(0.05)


def test_rspamd_believes_chains_of_ours_and_of_others_that_we_go_on(symbols: Callable[[bytes], set[str]]) -> None:
    raw = PLAIN
    assert "ARC_NA" in symbols(raw)
    for count in range(1, 6):
        raw = passed_on(raw, b"X-Hop: %d\r\n" % count)
        assert "ARC_ALLOW" in symbols(raw), count
    for times in (1, 2, 3):
        assert "ARC_ALLOW" in symbols(passed_on(sealed_by_dkimpy(PLAIN, times)))


def test_rspamd_sees_what_was_changed_after(symbols: Callable[[bytes], set[str]]) -> None:
    raw = passed_on(passed_on(PLAIN))
    assert "ARC_ALLOW" in symbols(raw)
    for changed in (
        raw.replace(b"hello", b"hallo"),
        raw + b"more\r\n",
        raw.replace(b"dmarc=pass", b"dmarc=fail", 1),
        raw.replace(b"cv=pass", b"cv=none"),
    ):
        found = symbols(changed)
        assert "ARC_ALLOW" not in found, found
        assert found & {"ARC_REJECT", "ARC_INVALID"}, found
