"""Reports and the world: web servers over real TLS, DNS, and what is counted while a server runs."""

from __future__ import annotations

import gzip
import http.server
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller

from postroom.jobs.reports import NotPosted
from postroom.mailflow.outbound.tls_outcome import TlsOutcome, ignore
from postroom.mailflow.reports import tls_tally
from postroom.mailflow.resolver import NoAnswer
from postroom.model.organizations import Organization
from postroom.server import configuration, reporting
from postroom.server.dns.lookups import Lookups
from postroom.server.reporting import Ledger, Poster
from postroom.storage import keys, sqlite
from postroom.storage.engine import REGISTRY, Store
from tests.interop.nameserver import Nameserver
from tests.program import Program, running
from tests.server.served import BASE, eventually, workmail

AUTHORITY = trustme.CA()
REPORT = gzip.compress(b"{}")
AT = 1_800_000_000.0


class Taker:
    """A web server that takes reports, or answers `status`; it waits for `ready`."""

    def __init__(self) -> None:
        self.status = 201
        self.got: list[tuple[str, str, str, bytes]] = []
        self.ready = threading.Event()
        self.ready.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, self.headers["Host"], self.headers["Content-Type"], body))
                outer.ready.wait(30)
                self.send_response(outer.status)
                self.send_header("Location", f"https://taker.test:{outer.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert("taker.test").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def taker() -> Iterator[Taker]:
    opened = Taker()
    yield opened
    opened.ready.set()
    opened.server.shutdown()
    opened.server.server_close()


@pytest.fixture
def asked() -> Iterator[Lookups]:
    zone = {("taker.test", "A"): ["127.0.0.1"], ("other.test", "A"): ["127.0.0.1"], ("_smtp._tls.far.test", "TXT"): ['"v=TLS" "RPTv1;"']}
    with Nameserver(zone) as opened:
        yield Lookups([f"127.0.0.1:{opened.port}"])


def poster(asked: Lookups, *, private: bool = True, seconds: float = 10.0) -> Poster:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return Poster(asked, private=private, tls=context, seconds=seconds)


def test_a_report_is_posted(taker: Taker, asked: Lookups) -> None:
    poster(asked)(f"https://taker.test:{taker.port}/tls?v=1", REPORT)
    assert taker.got == [("/tls?v=1", f"taker.test:{taker.port}", "application/tlsrpt+gzip", REPORT)]


@pytest.mark.parametrize("status", [302, 307, 400, 500])
def test_what_is_not_taken_is_told_and_no_redirect_followed(taker: Taker, asked: Lookups, status: int) -> None:
    taker.status = status
    with pytest.raises(NotPosted, match=str(status)):
        poster(asked)(f"https://taker.test:{taker.port}/", REPORT)
    assert len(taker.got) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://taker.test:{port}/", "no address that may be asked"),
        ("https://127.0.0.1:{port}/", "no address that may be asked"),
        ("https://[::ffff:169.254.169.254]/", "no address that may be asked"),
        ("https://nowhere.test/", "has no address"),
    ],
)
def test_strangers_do_not_send_this_server_to_its_own_network(taker: Taker, asked: Lookups, url: str, said: str) -> None:
    with pytest.raises(NotPosted, match=said):
        poster(asked, private=False)(url.format(port=taker.port), REPORT)
    assert taker.got == []


@pytest.mark.parametrize(
    "url", ["https://", "https://taker.test:99999/", "https://[/", "https://taker.test:1/", "https://other.test:{port}/"]
)
def test_no_address_does_worse_than_not_take_it(taker: Taker, asked: Lookups, url: str) -> None:
    with pytest.raises(NotPosted):
        poster(asked)(url.format(port=taker.port), REPORT)


def test_who_takes_too_long_is_left(taker: Taker, asked: Lookups) -> None:
    taker.ready.clear()
    with pytest.raises(NotPosted):
        poster(asked, seconds=0.2)(f"https://taker.test:{taker.port}/", REPORT)


def test_dns_as_reports_ask_it(asked: Lookups) -> None:
    texts = reporting.texts(asked)
    assert texts("_smtp._tls.far.test") == ["v=TLSRPTv1;"]
    assert texts("_smtp._tls.nowhere.test") == []
    for name in (f"{'a' * 64}.test", "a..test"):
        with pytest.raises(NoAnswer):
            texts(name)


async def test_what_is_counted_while_a_server_runs_is_written_at_its_end(store: Store, organization: Organization) -> None:
    ledger = Ledger(store)
    ledger.start()
    for _ in range(2):
        ledger.sink(TlsOutcome("no-policy-found", "far.test", (), "mx.far.test", "192.0.2.1", "", "", "", AT))
    await ledger.flush()
    ledger.sink(TlsOutcome("no-policy-found", "far.test", (), "mx.far.test", "192.0.2.1", "", "", "", AT))
    await ledger.close()
    with store.transaction(REGISTRY, write=False) as tx:
        assert [count for _, count in tls_tally.read(tx, int(AT // 86_400), "far.test")] == [3]


async def test_what_cannot_be_written_waits(store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(store)
    ledger.sink(TlsOutcome("no-policy-found", "far.test", (), "mx.far.test", "192.0.2.1", "", "", "", AT))
    with monkeypatch.context() as patch:
        patch.delattr(tls_tally.tls_counts, "add")
        await ledger.flush()
    await ledger.flush()
    with store.transaction(REGISTRY, write=False) as tx:
        assert [count for _, count in tls_tally.read(tx, int(AT // 86_400), "far.test")] == [1]


def test_nothing_is_counted_where_nothing_is_sent(store: Store, organization: Organization) -> None:
    assert Ledger(store, wanted=False).sink is ignore


class Sink:
    """A mail server that takes everything and keeps it."""

    def __init__(self, port: int) -> None:
        self.got: list[bytes] = []
        self.server = Controller(self, hostname="127.0.0.1", port=port)
        self.server.start()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(envelope.original_content)
        return "250 OK"


def test_a_running_program_counts_both_and_reports_them_when_the_day_is_over(tmp_path: Path, unused_tcp_port: int) -> None:
    sink = Sink(unused_tcp_port)
    zone = {
        ("_dmarc.far.test", "TXT"): ['"v=DMARC1; p=none; rua=mailto:dmarc@far.test"'],
        ("_smtp._tls.far.test", "TXT"): ['"v=TLSRPTv1; rua=mailto:tls@far.test"'],
        ("far.test", "MX"): ["10 mx.far.test."],
        ("mx.far.test", "A"): ["127.0.0.1"],
    }
    with Nameserver(zone) as nameserver:
        path = tmp_path / "postroom.toml"
        more = f'[dns]\nnameservers = ["127.0.0.1:{nameserver.port}"]\n[reports]\naddress = "tls@lab.postroom.test"\n'
        path.write_text(BASE.replace("[mail]\n", f"[mail]\nport = {unused_tcp_port}\n") + more)
        with running(Program(["serve", "--config", str(path)], tmp_path)) as program:
            client = workmail(program)
            organization = client.create_organization(Alias="lab")["OrganizationId"]
            mia = client.create_user(OrganizationId=organization, Name="mia", DisplayName="Mia", Password="Correct-Horse-9")["UserId"]
            client.register_to_work_mail(OrganizationId=organization, EntityId=mia, Email="mia@lab.postroom.test")
            with smtplib.SMTP(*program.ready.smtp) as stranger:
                stranger.sendmail("x@far.test", ["mia@lab.postroom.test"], "From: x@far.test\r\nSubject: hello\r\n\r\nhello\r\n")
            with smtplib.SMTP_SSL(*program.ready.submissions, context=program.ready.tls()) as user:
                user.login("mia@lab.postroom.test", "Correct-Horse-9")
                user.sendmail("mia@lab.postroom.test", ["y@far.test"], "From: mia@lab.postroom.test\r\nSubject: out\r\n\r\nout\r\n")
            eventually(lambda: sink.got)
        settings = configuration.load(path)
        store = sqlite.open_store(
            tmp_path / "data", keys.LocalKeyring(tmp_path / "data" / "keyring.json"), lambda: time.time() + 2 * 86_400
        )
        (scope,) = store.scopes()
        assert reporting.work(settings)(store, scope) == 2
        with store.transaction(scope, write=False) as tx:
            rows = tx.all("SELECT recipient FROM queue_recipients WHERE organization = :organization ORDER BY id")
        store.close()
    sink.server.stop()
    assert [recipient for (recipient,) in rows] == ["dmarc@far.test", "tls@far.test"]
