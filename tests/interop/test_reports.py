"""Reports of others: rspamd counts letters by DMARC and reports them to a mailbox of ours, where they are added up."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import isolation
from tests.interop.nameserver import Nameserver
from tests.interop.peer import loopback
from tests.interop.rspamd import Rspamd
from tests.interop.tools import need
from tests.program import Program, demo, running
from tests.server.served import eventually, postroom

LETTER = b"From: Mia <mia@demo.postroom.test>\r\nTo: x@rspamd.test\r\nSubject: hello\r\nMessage-ID: <%d@demo.postroom.test>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nhello\r\n"
REPORTING = """reporting {
  enabled = true; email = "dmarc@rspamd.test"; domain = "rspamd.test"; org_name = "Rspamd"; helo = "rspamd.test";
  smtp = "127.0.0.1"; smtp_port = %d;
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with running(demo(tmp_path / "postroom")) as opened:
        yield opened


def test_what_rspamd_reports_is_read(tmp_path: Path, program: Program) -> None:
    reporter = need("rspamadm", "rspamd")
    user = program.ready.users[0]
    zone = {
        ("_dmarc.postroom.test", "TXT"): [f'"v=DMARC1; p=none; rua=mailto:{user.email}"'],
        ("demo.postroom.test", "TXT"): ['"v=spf1 ip4:192.0.2.1 -all"'],
    }
    folder = tmp_path / "rspamd"
    try:
        resolver = loopback(53)  # rspamadm asks the machine's resolver
    except PermissionError as error:
        pytest.skip(str(error))
    with Nameserver(zone, resolver, 53), Rspamd(folder, resolver=resolver, dmarc=REPORTING % program.ready.smtp[1]) as rspamd:
        for number, address in enumerate(["192.0.2.1", "192.0.2.1", "192.0.2.66"]):
            rspamd.check(
                LETTER % number, IP=address, From="mia@demo.postroom.test", Rcpt="x@rspamd.test", Helo="mx.test", Hostname="mx.test"
            )
        places = dict.fromkeys(("LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR"), folder)
        command = [reporter, *(f"--var={name}={place}" for name, place in places.items()), "dmarc_report", "-v", time.strftime("%Y%m%d")]
        view = isolation.command(command, tmp_path, files=isolation.resolver(resolver))
        done = subprocess.run(view, capture_output=True, text=True, check=False, timeout=60)
        assert "1 domains" in done.stdout, done.stdout + done.stderr
    config = tmp_path / "postroom" / "data" / "postroom.toml"

    def summary() -> list[list[str]]:
        shown = postroom(config, "reports", "summary", "--mailbox", user.email, "--days", "1")
        return [line.split() for line in shown.stdout.splitlines()] if "1 report" in shown.stdout else []

    assert sorted(eventually(summary)[2:]) == [
        ["postroom.test", "192.0.2.1", "2", "fail", "pass", "none"],
        ["postroom.test", "192.0.2.66", "1", "fail", "fail", "none"],
    ]
