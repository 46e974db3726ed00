"""Reports of days that are over go once, to those who want them, signed, in letters that others can read."""

from __future__ import annotations

import email
import email.policy
import gzip
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim as dkimpy
import msgspec
import pytest

from postroom.formats import dmarc_report, tls_report
from postroom.jobs import reports
from postroom.jobs.dkim import make_keys
from postroom.jobs.reports import NotPosted, Outside
from postroom.mailbox import contents
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.settings import Settings as MailSettings
from postroom.mailflow.outbound.tls_outcome import TlsOutcome
from postroom.mailflow.reports import dmarc_counts, tls_tally
from postroom.mailflow.reports.settings import Settings
from postroom.mailflow.reports.tls_tally import Tally
from postroom.mailflow.resolver import NoAnswer, Resolver
from postroom.model.organizations import Organization
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import dmarc_counts as queries
from postroom.storage.queries import tls_counts
from tests.conftest import Clock, make_organization
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.far import Far
from tests.mailflow.reports.test_dmarc_counts import FORGED, RECORD, come, known
from tests.mailflow.test_signing import NOW, published
from tests.people import People

SCHEMA = Path(__file__).parents[2] / "formats" / "dmarc.xsd"
TLS = Settings(address="tls-reports@example.test", organization="Example & Sons", contact="ask@example.test")


@dataclass
class World:
    """What DNS says and web servers take."""

    records: dict[str, list[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    posted: list[tuple[str, bytes]] = field(default_factory=list)

    def texts(self, name: str) -> Sequence[str]:
        if name in self.silent:
            raise NoAnswer(name)
        return self.records.get(name, [])

    def post(self, url: str, report: bytes) -> None:
        if url in self.refusing:
            raise NotPosted("500")
        self.posted.append((url, report))

    def run(self, store: Store, scope: int = 1, settings: Settings = TLS) -> int:
        return reports.send(settings, Outside(self.texts, self.post))(store, scope)


@pytest.fixture
def world() -> World:
    return World()


def waiting(store: Store, scope: int = 1) -> list[tuple[str, str, EmailMessage]]:
    """Read what is queued: recipient, destination, letter."""
    with store.transaction(scope, write=False) as tx:
        rows = tx.all(
            "SELECT r.recipient, r.destination, m.content, m.sender, m.lifetime FROM queue_recipients r JOIN queue_messages m"
            " ON m.organization = r.organization AND m.id = r.message WHERE r.organization = :organization ORDER BY r.id"
        )
        assert {(sender, lifetime) for *_, sender, lifetime in rows} <= {("", 86_400.0)}
        return [(row[0], row[1], parsed(contents.read(tx, row[2]))) for row in rows]


def parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)  # type: ignore[return-value]


def later(clock: Clock, *, hours: float = 0) -> None:
    """Let it be five hours, or so many, after the next midnight."""
    clock.now += 86_400 - clock.now % 86_400 + (hours or 5) * 3600


def connect(store: Store, domain: str = "far.test", **values: Any) -> None:
    """Write down one connection."""
    tally = Tally()
    tally(TlsOutcome("no-policy-found", domain, (), f"mx.{domain}", "192.0.2.1", "192.0.2.9", values.get("result", ""), "", store.now()))
    with store.transaction(REGISTRY) as tx:
        tls_tally.write(tx, tally.take())


def test_a_day_that_is_over_is_told_once(store: Store, people: People, clock: Clock, world: World, tmp_path: Path) -> None:
    for _ in range(2):
        come(store, known())
    come(store, known(FORGED, address="2001:db8::1"), refusing=True)
    day = int(clock.now // 86_400)
    assert world.run(store) == 0
    later(clock)
    assert world.run(store) == 1
    assert world.run(store) == 0
    ((recipient, destination, letter),) = waiting(store)
    assert (recipient, destination) == ("agg@far.test", "far.test")
    assert letter["From"] == "tls-reports@example.test"
    assert letter["Return-Path"] == "<>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Subject"].startswith("Report Domain: far.test Submitter: example.test Report-ID: <")
    assert letter.get_content_type() == "multipart/mixed"
    text, attachment = letter.iter_parts()
    assert "far.test" in text.get_content()
    assert attachment.get_content_type() == "application/gzip"
    begin = day * 86_400
    assert attachment.get_filename().startswith(f"example.test!far.test!{begin}!{begin + 86_399}!")
    assert attachment.get_filename().endswith(".xml.gz")
    xml = gzip.decompress(attachment.get_content())
    report = dmarc_report.read(xml)
    assert (report.organization, report.email, report.begin, report.end) == ("Example & Sons", "ask@example.test", begin, begin + 86_399)
    assert f"<{report.id}@example.test>" in letter["Subject"]
    assert report.policy == dmarc_report.Policy("far.test", "r", "r", "reject", "reject", "100", "0")
    assert [(row.source, row.count, row.disposition) for row in report.rows] == [("192.0.2.1", 2, "none"), ("2001:db8::1", 1, "reject")]
    if shutil.which("xmllint"):
        (tmp_path / "r.xml").write_bytes(xml)
        done = subprocess.run(["xmllint", "--noout", "--schema", SCHEMA, tmp_path / "r.xml"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_an_organization_that_has_not_the_address_writes_as_its_postmaster(
    store: Store, people: People, clock: Clock, world: World
) -> None:
    come(store, known())
    later(clock)
    world.run(store, settings=Settings(organization="mx.test"))
    ((_, _, letter),) = waiting(store)
    assert letter["From"] == "postmaster@example.test"


def test_each_domain_has_its_own_time_within_four_hours() -> None:
    times = [reports.due_at(f"{number}.test", 1) - 2 * 86_400 for number in range(200)]
    assert min(times) >= 600
    assert max(times) <= 600 + 4 * 3600
    assert max(times) - min(times) > 3 * 3600


def test_what_nobody_wants_any_more_is_only_forgotten(store: Store, people: People, clock: Clock, world: World) -> None:
    come(store, known())
    later(clock)
    assert world.run(store, settings=Settings(dmarc=False)) == 0
    assert waiting(store) == []
    assert counts(store) == []


def counts(store: Store) -> list[Any]:
    with store.transaction(1, write=False) as tx:
        return queries.page(tx, before=10**6, after=(0, ""), limit=9)


def test_another_organization_is_asked_and_waited_for_for_a_day(store: Store, people: People, clock: Clock, world: World) -> None:
    found = known(FORGED)
    come(store, _for(found, "mailto:r@other.test", "mailto:agg@far.test"))
    world.silent.add("far.test._report._dmarc.other.test")
    later(clock)
    assert world.run(store) == 0
    assert len(counts(store)) == 1
    clock.advance(86_400)
    assert world.run(store) == 1
    assert [recipient for recipient, _, _ in waiting(store)] == ["agg@far.test"]
    assert counts(store) == []


def test_who_has_not_invited_a_report_gets_none(store: Store, people: People, clock: Clock, world: World) -> None:
    come(store, _for(known(), "mailto:victim@other.test"))
    later(clock)
    assert world.run(store) == 0
    assert (waiting(store), counts(store)) == ([], [])


@pytest.mark.parametrize(("size", "sent"), [("!1k", 0), ("!1m", 1)])
def test_nobody_gets_more_octets_than_are_taken(store: Store, people: People, clock: Clock, world: World, size: str, sent: int) -> None:
    come(store, _for(known(), f"mailto:agg@far.test{size}"))
    later(clock)
    assert world.run(store) == sent
    assert counts(store) == []


def _for(assessment: Any, *uris: str) -> Any:
    authentication = assessment.authentication
    return replace(assessment, authentication=replace(authentication, dmarc=replace(authentication.dmarc, reports=uris)))


def test_two_processes_that_send_at_once_send_once(store: Store, people: People, clock: Clock, world: World) -> None:
    """The other sends between this one's look-up in DNS and its transaction."""
    come(store, _for(known(), "mailto:r@other.test"))
    later(clock)
    world.records["far.test._report._dmarc.other.test"] = ["v=DMARC1"]

    class Slow(World):
        def texts(self, name: str) -> Sequence[str]:
            assert world.run(store) == 1
            return world.texts(name)

    assert Slow().run(store) == 0
    assert len(waiting(store)) == 1


def test_many_kinds_fit(store: Store, people: People, clock: Clock, world: World) -> None:
    with store.transaction(1) as tx:
        day = int(clock.now // 86_400)
        for number in range(500):
            row = dmarc_counts.describe(known(address=f"192.0.{number // 250}.{number % 250}").authentication, "a@far.test", enforced=True)  # type: ignore[arg-type]
            facts = msgspec.json.encode(row).decode()
            queries.take_room(tx, day, "far.test", record=RECORD, addresses="mailto:agg@far.test", most=10_000)
            queries.insert(tx, day, "far.test", digest=str(number), facts=facts)
    later(clock)
    assert world.run(store) == 1
    ((_, _, letter),) = waiting(store)
    assert len(dmarc_report.read(list(letter.iter_parts())[1].get_content()).rows) == 500


# TLS


def test_a_day_of_connections_is_told_once(store: Store, organization: Organization, clock: Clock, world: World) -> None:
    world.records["_smtp._tls.far.test"] = ["v=TLSRPTv1; rua=mailto:tls@far.test,https://far.test/report"]
    for result in ("", "", "starttls-not-supported"):
        connect(store, result=result)
    connect(store, "silent.test")
    assert world.run(store) == 0
    later(clock)
    assert world.run(store) == 1
    assert world.run(store) == 0
    ((recipient, destination, letter),) = waiting(store)
    assert (recipient, destination) == ("tls@far.test", "anyhow:far.test")
    assert letter["From"] == "tls-reports@example.test"
    assert letter["Reply-To"] == "ask@example.test"
    assert (letter["TLS-Report-Domain"], letter["TLS-Report-Submitter"]) == ("far.test", "example.test")
    assert (letter.get_content_type(), letter["Content-Type"].params["report-type"]) == ("multipart/report", "tlsrpt")
    assert letter["TLS-Required"] == "No"
    _, attachment = letter.iter_parts()
    assert attachment.get_content_type() == "application/tlsrpt+gzip"
    assert attachment.get_filename().startswith("example.test!far.test!")
    assert attachment.get_filename().endswith(".json.gz")
    report = tls_report.read(attachment.get_content())
    assert (report.organization_name, report.contact_info) == ("Example & Sons", "ask@example.test")
    assert report.policies[0].summary == tls_report.Summary(2, 1)
    assert world.posted == [("https://far.test/report", attachment.get_content())]
    with store.transaction(REGISTRY, write=False) as tx:
        assert tls_counts.page(tx, before=10**6, after=(0, ""), limit=9) == []


def test_a_server_that_was_killed_between_two_transactions_sends_no_second_one(
    store: Store, organization: Organization, clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.records["_smtp._tls.far.test"] = ["v=TLSRPTv1; rua=mailto:tls@far.test"]
    connect(store)
    later(clock)

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(tls_counts, "delete", kill)
        with pytest.raises(Killed):
            world.run(store)
    assert world.run(store) == 0
    assert len(waiting(store)) == 1
    clock.advance(9 * 86_400)
    assert world.run(store) == 0
    with store.transaction(1, write=False) as tx:
        assert tx.all("SELECT * FROM tls_reports_sent WHERE organization = :organization") == []


def test_a_web_server_is_tried_for_a_day(store: Store, organization: Organization, clock: Clock, world: World) -> None:
    world.records["_smtp._tls.far.test"] = ["v=TLSRPTv1; rua=https://far.test/report"]
    world.refusing.add("https://far.test/report")
    connect(store)
    later(clock)
    world.run(store)
    world.refusing.clear()
    clock.advance(3600)
    world.run(store)
    world.run(store)
    assert len(world.posted) == 1
    connect(store)
    later(clock)
    world.refusing.add("https://far.test/report")
    world.run(store)
    clock.advance(86_400)
    world.run(store)
    world.refusing.clear()
    world.run(store)
    assert len(world.posted) == 1


def test_dns_that_does_not_answer_is_asked_for_a_day(store: Store, organization: Organization, clock: Clock, world: World) -> None:
    world.silent.add("_smtp._tls.far.test")
    connect(store)
    later(clock)
    world.run(store)
    with store.transaction(REGISTRY, write=False) as tx:
        assert len(tls_counts.page(tx, before=10**6, after=(0, ""), limit=9)) == 1
    clock.advance(86_400)
    world.run(store)
    with store.transaction(REGISTRY, write=False) as tx:
        assert tls_counts.page(tx, before=10**6, after=(0, ""), limit=9) == []


def test_what_nobody_tells_is_forgotten_in_the_end(store: Store, organization: Organization, clock: Clock, world: World) -> None:
    world.silent.add("_smtp._tls.far.test")
    for settings in (TLS, Settings(address="x@nowhere.test"), Settings(tls=False)):
        connect(store)
        clock.advance(3 * 86_400)
        world.run(store, settings=Settings(address="x@nowhere.test"))
        with store.transaction(REGISTRY, write=False) as tx:
            assert len(tls_counts.page(tx, before=10**6, after=(0, ""), limit=9)) == 1
        clock.advance(86_400)
        world.run(store, settings=settings)
        with store.transaction(REGISTRY, write=False) as tx:
            assert tls_counts.page(tx, before=10**6, after=(0, ""), limit=9) == []


def test_old_days_are_forgotten_without_a_question(store: Store, people: People, clock: Clock, world: World) -> None:
    come(store, _for(known(), "mailto:r@other.test"))
    clock.advance(5 * 86_400)

    def ask(name: str) -> Sequence[str]:
        raise AssertionError(name)

    assert reports.send(TLS, Outside(ask, world.post))(store, 1) == 0
    assert counts(store) == []


def test_only_the_organization_of_the_address_reports_of_tls(store: Store, organization: Organization, clock: Clock, world: World) -> None:
    make_organization(store, number=2, alias="other")
    world.records["_smtp._tls.far.test"] = ["v=TLSRPTv1; rua=mailto:tls@far.test"]
    connect(store)
    later(clock)
    assert world.run(store, 2) == 0
    assert world.run(store, 1, Settings(address="x@nowhere.test")) == 0
    assert world.run(store, 1, Settings(address="x@example.test", tls=False)) == 0
    assert world.run(store, 1) == 1


# On the wire


async def test_reports_leave_signed_with_the_null_return_path(
    store: Store,
    people: People,
    clock: Clock,
    world: World,
    dns: tuple[NameServer, Resolver],
    open_elsewhere: OpenElsewhere,
    make_carrier: MakeCarrier,
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    world.records["_smtp._tls.far.test"] = ["v=TLSRPTv1; rua=mailto:tls@far.test"]
    clock.now = NOW
    make_keys(store, 1)
    keys = published(store)
    come(store, known())
    connect(store)
    later(clock)
    assert world.run(store) == 2
    await make_carrier(port=far.port).sweep()
    assert sorted((sender, recipients) for sender, recipients, _ in far.got) == [("<>", ["agg@far.test"]), ("<>", ["tls@far.test"])]
    for _, _, raw in far.got:
        assert dkimpy.verify(raw, dnsfunc=lambda name, timeout=5: keys.get(name.decode(), b""))
        assert b"d=example.test" in raw
        assert not raw.startswith(b"Return-Path")


async def test_a_report_reaches_a_domain_whose_encryption_fails_and_is_not_counted_itself(
    store: Store,
    people: People,
    clock: Clock,
    world: World,
    dns: tuple[NameServer, Resolver],
    open_elsewhere: OpenElsewhere,
) -> None:
    far = Far(dns[0], open_elsewhere)
    await far.serve()
    far.name(f"3 1 1 {'00' * 32}")
    world.records["_smtp._tls.far.test"] = ["v=TLSRPTv1; rua=mailto:tls@far.test"]
    connect(store, result="validation-failure")
    come(store, known())
    later(clock)
    assert world.run(store) == 2
    heard: list[TlsOutcome] = []
    carrier = Carrier(store, far.resolver(), MailSettings(hostname="mx.example.test", port=far.port), outcomes=heard.append)
    await carrier.sweep()
    await carrier.close(0.5)
    assert [recipient for recipient, _, _ in waiting(store)] == ["agg@far.test"]
    assert {outcome.result for outcome in heard} == {"validation-failure"}
    assert len(heard) == 1
