"""MTA-STS: policies are fetched over real HTTPS, kept, fetched again, and obeyed over real TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme

from postroom.formats.sts_policy import StsPolicy
from postroom.mailflow.outbound import policy_host, sts
from postroom.mailflow.outbound.demand import Override
from postroom.mailflow.outbound.demands import Demands
from postroom.mailflow.outbound.link import Link
from postroom.mailflow.outbound.policy_host import Failed
from postroom.mailflow.outbound.sts import Found, Policies
from postroom.mailflow.outbound.sts_settings import Settings
from postroom.mailflow.outbound.tls_outcome import TlsOutcome
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.verdicts import Verdict
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import sts_policies
from tests.conftest import Clock
from tests.dns import NameServer
from tests.mailflow.conftest import OpenElsewhere
from tests.mailflow.far import Far

ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx.far.test\r\nmax_age: 604800\r\n"
POLICY = StsPolicy("enforce", ("mx.far.test",), 604_800)
ANY_HOST = ENFORCE.replace(b"mx.far.test", b"*.far.test")


def page(body: bytes, *, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class PolicyHost:
    """mta-sts.far.test: answers every request with what a test says, and notes it."""

    def __init__(self) -> None:
        self.answer = page(ENFORCE)
        self.asked: list[bytes] = []
        self.silent = False
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        if self.silent:
            await reader.read()
        writer.write(self.answer)
        writer.close()

    @asynccontextmanager
    async def listening(self, certificate: trustme.LeafCert) -> AsyncIterator[None]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()


@pytest.fixture
def host() -> PolicyHost:
    return PolicyHost()


@pytest_asyncio.fixture
async def far(dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere) -> Far:
    made = Far(dns[0], open_elsewhere)
    made.dns.add("mta-sts.far.test", "A", "127.0.0.1")
    made.dns.add("_mta-sts.far.test", "TXT", '"v=STSv1; id=1;"')
    return made


@pytest.fixture
def ca(far: Far, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    far.authority.cert_pem.write_to_path(str(path))
    return path


@pytest_asyncio.fixture
async def serving(far: Far, host: PolicyHost) -> AsyncIterator[PolicyHost]:
    async with host.listening(far.authority.issue_cert("mta-sts.far.test")):
        yield host


def settings(host: PolicyHost, ca: Path, **values: Any) -> Settings:
    return Settings(**{"port": host.port, "ca": str(ca), "private_addresses": True, "seconds": 9.0, **values})


def policies(store: Store, far: Far, host: PolicyHost, ca: Path, **values: Any) -> Policies:
    """Make what a process knows that has just started."""
    return Policies(store, far.resolver(), settings(host, ca, **values))


def announce(far: Far, *texts: str) -> None:
    far.dns.records[("_mta-sts.far.test", "TXT")] = [f'"{text}"' for text in texts]


# Fetching


async def test_a_policy_is_fetched(far: Far, serving: PolicyHost, ca: Path) -> None:
    assert await policy_host.fetch("far.test", far.resolver(), settings(serving, ca)) == POLICY
    head = serving.asked[0].decode()
    assert head.startswith("GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert f"Host: mta-sts.far.test:{serving.port}\r\n" in head


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED += b"".join(b"1\r\n%c\r\n" % octet for octet in ENFORCE) + b"0\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.0 200 OK\r\ncontent-type: TEXT/PLAIN\r\n\r\n" + ENFORCE


@pytest.mark.parametrize("answer", [CHUNKED, UNTIL_THE_END], ids=["chunked", "until the end"])
async def test_every_way_to_end_an_answer(far: Far, serving: PolicyHost, ca: Path, answer: bytes) -> None:
    serving.answer = answer
    assert await policy_host.fetch("far.test", far.resolver(), settings(serving, ca)) == POLICY


WRONG = {
    "moved": (page(ENFORCE, status="301 Moved\r\nLocation: https://mta-sts.far.test/"), "sts-policy-fetch-error"),
    "absent": (page(b"no", status="404 Not Found"), "sts-policy-fetch-error"),
    "a page of html": (page(ENFORCE, kind="text/html"), "sts-policy-invalid"),
    "no type": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "sts-policy-invalid"),
    "another version": (page(ENFORCE.replace(b"v1", b"v2")), "sts-policy-invalid"),
    "too large": (page(ENFORCE + b"x: " + b"y" * 65_536), "sts-policy-invalid"),
    "endless": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"z: z\n" * 60_000, "sts-policy-invalid"),
    "an endless head": (b"HTTP/1.1 200 OK\r\n" + b"z: z\r\n" * 60_000, "sts-policy-invalid"),
    "broken off": (page(ENFORCE)[:-1], "sts-policy-fetch-error"),
    "broken off in a chunk": (CHUNKED[:-1], "sts-policy-fetch-error"),
    "nothing": (b"", "sts-policy-fetch-error"),
    "no HTTP": (b"220 mx.far.test ESMTP\r\n", "sts-policy-fetch-error"),
    "a host that is none": (page(ENFORCE.replace(b"mx.far", b"mx..far")), "sts-policy-invalid"),
    "two hosts in one": (page(ENFORCE.replace(b"mx.far", b"a b.far")), "sts-policy-invalid"),
}


@pytest.mark.parametrize(("answer", "result"), WRONG.values(), ids=WRONG.keys())
async def test_what_is_no_policy(far: Far, serving: PolicyHost, ca: Path, answer: bytes, result: str) -> None:
    serving.answer = answer
    with pytest.raises(Failed) as raised:
        await policy_host.fetch("far.test", far.resolver(), settings(serving, ca))
    assert raised.value.result == result
    assert "far.test" in raised.value.details


@pytest.mark.parametrize("name", ["far.test", "mta-sts.other.test"])
async def test_a_certificate_for_another_name(far: Far, host: PolicyHost, ca: Path, name: str) -> None:
    async with host.listening(far.authority.issue_cert(name)):
        with pytest.raises(Failed) as raised:
            await policy_host.fetch("far.test", far.resolver(), settings(host, ca))
    assert raised.value.result == "sts-webpki-invalid"
    assert host.asked == []


async def test_a_certificate_by_an_unknown_authority(far: Far, host: PolicyHost, ca: Path) -> None:
    async with host.listening(trustme.CA().issue_cert("mta-sts.far.test")):
        with pytest.raises(Failed) as raised:
            await policy_host.fetch("far.test", far.resolver(), settings(host, ca))
    assert raised.value.result == "sts-webpki-invalid"


async def test_a_host_that_says_nothing(far: Far, serving: PolicyHost, ca: Path) -> None:
    serving.silent = True
    with pytest.raises(Failed, match=r"longer than 0.5 seconds") as raised:
        await policy_host.fetch("far.test", far.resolver(), settings(serving, ca, seconds=0.5))
    assert raised.value.result == "sts-policy-fetch-error"


async def test_private_addresses_are_not_asked(far: Far, serving: PolicyHost, ca: Path) -> None:
    with pytest.raises(Failed, match="no address that may be asked"):
        await policy_host.fetch("far.test", far.resolver(), settings(serving, ca, private_addresses=False))
    assert serving.asked == []


async def test_the_next_address_may_answer(far: Far, serving: PolicyHost, ca: Path) -> None:
    far.dns.records[("mta-sts.far.test", "A")] = ["127.9.9.9", "127.0.0.1"]
    assert await policy_host.fetch("far.test", far.resolver(), settings(serving, ca)) == POLICY


# Keeping


async def test_a_policy_is_fetched_once(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    known = policies(store, far, serving, ca)
    assert [found.policy for found in await asyncio.gather(*(known.find("far.test") for _ in range(5)))] == [POLICY] * 5
    assert await policies(store, far, serving, ca).find("far.test") == Found(POLICY)  # another process
    assert len(serving.asked) == 1


@pytest.mark.parametrize("texts", [[], ["v=spf1 -all"], ["v=STSv1; id=a;", "v=STSv1; id=b;"], ["v=STSv1; id=;"]])
async def test_without_a_record_nobody_asks(store: Store, far: Far, serving: PolicyHost, ca: Path, texts: list[str]) -> None:
    announce(far, *texts)
    assert await policies(store, far, serving, ca).find("far.test") == sts.NOTHING
    assert serving.asked == []


async def test_another_id_is_another_policy(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    await policies(store, far, serving, ca).find("far.test")
    serving.answer = page(ENFORCE.replace(b"enforce", b"testing"))
    assert await policies(store, far, serving, ca).find("far.test") == Found(POLICY)
    announce(far, "v=STSv1; id=2;")
    found = await policies(store, far, serving, ca).find("far.test")
    assert found.policy is not None
    assert found.policy.mode == "testing"


@pytest.mark.parametrize("trouble", ["no record", "no answer", "another id, no policy", "another id, a bad policy"])
async def test_what_is_kept_holds_until_it_expires(
    store: Store, clock: Clock, far: Far, serving: PolicyHost, ca: Path, trouble: str
) -> None:
    await policies(store, far, serving, ca).find("far.test")
    if trouble == "no record":
        announce(far)
    elif trouble == "no answer":
        far.dns.failing.add("_mta-sts.far.test")
    else:
        announce(far, "v=STSv1; id=2;")
        serving.answer = page(b"rubbish", status="200 OK" if "bad" in trouble else "503 Later")
    clock.advance(604_799)
    assert await policies(store, far, serving, ca).find("far.test") == Found(POLICY)
    clock.advance(2)
    assert (await policies(store, far, serving, ca).find("far.test")).policy is None


async def test_what_failed_is_not_tried_again_at_once(store: Store, clock: Clock, far: Far, serving: PolicyHost, ca: Path) -> None:
    known = policies(store, far, serving, ca)
    serving.answer = page(b"", status="500 Sorry")
    for _ in range(3):
        assert await known.find("far.test") == Found(None, "sts-policy-fetch-error", "mta-sts.far.test answers 500")
    assert len(serving.asked) == 1
    serving.answer = page(ENFORCE)
    clock.advance(sts.PAUSE_SECONDS - 1)
    assert (await known.find("far.test")).policy is None
    clock.advance(2)
    assert await known.find("far.test") == Found(POLICY)


async def test_name_servers_that_never_answer_are_not_waited_for_each_time(
    store: Store, clock: Clock, far: Far, serving: PolicyHost, ca: Path
) -> None:
    known = policies(store, far, serving, ca)
    far.dns.failing.add("_mta-sts.far.test")
    for _ in range(3):
        assert await known.find("far.test") == sts.NOTHING
    asked = far.dns.asked.count(("_mta-sts.far.test", "TXT"))
    await known.find("far.test")
    assert far.dns.asked.count(("_mta-sts.far.test", "TXT")) == asked
    far.dns.failing.clear()
    clock.advance(sts.PAUSE_SECONDS)
    assert await known.find("far.test") == Found(POLICY)


async def test_what_is_used_is_kept_fresh(store: Store, clock: Clock, far: Far, serving: PolicyHost, ca: Path) -> None:
    known = policies(store, far, serving, ca)
    await known.find("far.test")
    assert await known.refresh() == 0
    announce(far)  # somebody on the way may hide it
    for _ in range(10):
        clock.advance(sts.DAY + 1)
        assert await known.refresh() == 1
    assert len(serving.asked) == 11
    assert await known.find("far.test") == Found(POLICY)
    clock.advance(sts.DAY)
    assert [await known.refresh(), await policies(store, far, serving, ca).refresh()] == [1, 0]


async def test_what_cannot_be_refreshed_is_tried_again_within_hours(
    store: Store, clock: Clock, far: Far, serving: PolicyHost, ca: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = policies(store, far, serving, ca)
    await known.find("far.test")
    serving.answer = page(b"", status="404 Gone")
    clock.advance(sts.DAY)
    assert await known.refresh() == 0
    assert "sts_policy_not_refreshed" in capsys.readouterr().out
    assert await known.refresh() == 0
    assert len(serving.asked) == 2
    serving.answer = page(ENFORCE)
    clock.advance(sts.AGAIN_SECONDS)
    assert await known.refresh() == 1


async def test_what_nobody_uses_runs_out(store: Store, clock: Clock, far: Far, serving: PolicyHost, ca: Path) -> None:
    known = policies(store, far, serving, ca)
    serving.answer = page(ENFORCE.replace(b"604800", b"31557600"))
    await known.find("far.test")
    clock.advance((sts.KEPT_FRESH_DAYS + 1) * sts.DAY)
    assert await known.refresh() == 0
    await known.find("far.test")
    assert await known.refresh() == 1
    clock.advance(31_557_601)
    assert await known.refresh() == 0
    with store.transaction(REGISTRY, write=False) as tx:
        assert tx.one("SELECT count(*) FROM sts_policies") == (0,)


async def test_the_number_of_domains_is_bounded(store: Store, clock: Clock, far: Far, serving: PolicyHost, ca: Path) -> None:
    for number in range(7):
        with store.transaction(REGISTRY) as tx:
            sts_policies.save(tx, f"d{number}.test", "1", POLICY, refresh_at=tx.now + 1)
        clock.advance(1)
    with store.transaction(REGISTRY) as tx:
        sts_policies.touch(tx, "d0.test")
    await policies(store, far, serving, ca, cached=3).find("far.test")
    with store.transaction(REGISTRY, write=False) as tx:
        kept = [domain for domain in ("d0.test", "d5.test", "d6.test", "far.test") if sts_policies.find(tx, domain)]
        assert kept == ["d0.test", "d6.test", "far.test"]
        assert tx.one("SELECT count(*) FROM sts_policies") == (3,)


# Obeying


async def dial(
    store: Store, far: Far, host: PolicyHost, ca: Path, overrides: dict[str, Override] | None = None, *, anyhow: bool = False
) -> tuple[Link | Verdict, list[TlsOutcome]]:
    demands = Demands(far.resolver(), policies(store, far, host, ca), overrides, str(ca))
    return await far.dial(demands, anyhow=anyhow)


async def test_a_valid_certificate_under_a_policy(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    await far.serve()
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" mta-sts")
    assert [(outcome.policy_type, outcome.policy_text, outcome.result) for outcome in heard] == [("sts", POLICY.lines, "")]


@pytest.mark.parametrize(
    ("mode", "certificate", "result", "status"),
    [
        ("enforce", "other.test", "certificate-host-mismatch", "4.7.5"),
        ("enforce", "stranger", "certificate-not-trusted", "4.7.5"),
        ("enforce", "none", "starttls-not-supported", "4.7.4"),
        ("testing", "other.test", "certificate-host-mismatch", ""),
        ("testing", "stranger", "certificate-not-trusted", ""),
        ("testing", "none", "starttls-not-supported", ""),
    ],
)
async def test_a_certificate_that_will_not_do(
    store: Store, far: Far, serving: PolicyHost, ca: Path, mode: str, certificate: str, result: str, status: str
) -> None:
    serving.answer = page(ENFORCE.replace(b"enforce", mode.encode()))
    if certificate == "stranger":
        trusted, far.authority = far.authority, trustme.CA()
        await far.serve()
        far.authority = trusted
    else:
        await far.serve(certificate, tls=certificate != "none")
    opened, heard = await dial(store, far, serving, ca)
    assert [(outcome.policy_type, outcome.result) for outcome in heard] == [("sts", result)]
    if status:
        assert isinstance(opened, Verdict)
        assert (opened.fate.name, opened.status) == ("DEFERRED", status)
    else:
        assert isinstance(opened, Link)
        assert opened.tls.endswith(" unverified") or certificate == "none"


async def test_a_host_that_the_policy_does_not_name_is_passed_over(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    far.dns.host("far.test", exchange="evil.test", preference=1)
    await far.serve()
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Link)
    assert opened.host == "mx.far.test"
    assert [(outcome.mx_host, outcome.result) for outcome in heard] == [("evil.test", "validation-failure"), ("mx.far.test", "")]


async def test_no_host_that_the_policy_names(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    serving.answer = page(ENFORCE.replace(b"mx.far", b"mx2.far"))
    await far.serve()
    opened, _ = await dial(store, far, serving, ca)
    assert isinstance(opened, Verdict)
    assert (opened.fate.name, opened.status) == ("DEFERRED", "4.7.5")
    serving.answer = page(ENFORCE.replace(b"mx.far", b"mx2.far").replace(b"enforce", b"testing"))
    announce(far, "v=STSv1; id=2;")
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Link)
    assert [(outcome.policy_type, outcome.result) for outcome in heard] == [("sts", "validation-failure")]
    assert "not among" in heard[0].details


@pytest.mark.parametrize("named", [True, False])
async def test_a_smarthost_has_the_policy_of_its_name(store: Store, far: Far, serving: PolicyHost, ca: Path, named: bool) -> None:
    await far.serve("far.test")
    far.dns.add("far.test", "A", "127.0.0.1")
    serving.answer = page(ENFORCE.replace(b"mx.far", b"far") if named else ENFORCE)
    opened, heard = await far.dial(Demands(far.resolver(), policies(store, far, serving, ca), ca=str(ca)), smarthost=f"far.test:{far.port}")
    assert isinstance(opened, Link) == named
    assert (opened.tls.endswith(" mta-sts"), heard) == (named, [])


async def test_mode_none_asks_for_nothing(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    serving.answer = page(b"version: STSv1\nmode: none\nmax_age: 86400\n")
    await far.serve("other.test")
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Link)
    assert heard[0].policy_type == "no-policy-found"


async def test_a_policy_that_cannot_be_had_is_told_and_stops_nothing(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    serving.answer = page(b"", status="404 No")
    await far.serve("other.test")
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Link)
    assert [(outcome.policy_type, outcome.result, outcome.details) for outcome in heard] == [
        ("sts", "sts-policy-fetch-error", "mta-sts.far.test answers 404")
    ]


async def test_dane_goes_before_a_policy(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    serving.answer = page(ENFORCE.replace(b"mx.far", b"mx2.far"))
    await far.serve("other.test")
    far.name(f"3 1 1 {far.key()}")
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" dane")
    assert [outcome.policy_type for outcome in heard] == ["tlsa"]
    assert serving.asked == []


async def test_a_policy_does_not_make_good_what_dane_forbids(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    await far.serve()
    far.name(f"3 1 1 {'00' * 32}")
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Verdict)
    assert [outcome.policy_type for outcome in heard] == ["tlsa"]


async def test_a_policy_counts_where_tlsa_records_cannot_be_used(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    await far.serve("other.test")
    far.name(f"1 1 1 {'00' * 32}")
    opened, heard = await dial(store, far, serving, ca)
    assert isinstance(opened, Verdict)
    assert heard[0].policy_type == "sts"


@pytest.mark.parametrize(
    ("override", "tls", "name", "expected"),
    [
        ("none", True, "mx.far.test", ""),
        ("offered", True, "other.test", "unverified"),
        ("offered", False, "", ""),
        ("encrypted", True, "other.test", "unverified"),
        ("encrypted", False, "", "4.7.4"),
        ("verified", True, "mx.far.test", "pkix"),
        ("verified", True, "other.test", "4.7.5"),
        ("dane-only", True, "mx.far.test", "4.7.5"),
    ],
)
async def test_the_operator_decides_before_all(
    store: Store, far: Far, serving: PolicyHost, ca: Path, override: Override, tls: bool, name: str, expected: str
) -> None:
    await far.serve(name or "mx.far.test", tls=tls)
    if override != "dane-only":
        far.name(f"3 1 1 {'00' * 32}")  # would let nobody deliver
    opened, heard = await dial(store, far, serving, ca, {"far.test": override, "else.test": "none"})
    if isinstance(opened, Verdict):
        assert (opened.fate.name, opened.status) == ("DEFERRED", expected)
    else:
        assert opened.tls.rpartition(" ")[2] == expected
    results = {"none": [], "dane-only": ["dane-required"]}
    assert [outcome.result for outcome in heard] == results.get(override, [outcome.result for outcome in heard])
    assert all(outcome.policy_type == ("tlsa" if override == "dane-only" else "no-policy-found") for outcome in heard)
    assert serving.asked == []


async def test_dane_only_with_dane(store: Store, far: Far, serving: PolicyHost, ca: Path) -> None:
    await far.serve("other.test")
    far.name(f"3 1 1 {far.key()}")
    opened, _ = await dial(store, far, serving, ca, {"far.test": "dane-only"})
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" dane")


async def test_a_letter_may_waive_what_the_domain_demands_but_not_what_the_operator_does(
    store: Store, far: Far, serving: PolicyHost, ca: Path
) -> None:
    await far.serve("other.test")
    far.name(f"3 1 1 {'00' * 32}")
    opened, heard = await dial(store, far, serving, ca, anyhow=True)
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" unverified")
    refused, _ = await dial(store, far, serving, ca, {"far.test": "verified"}, anyhow=True)
    assert isinstance(refused, Verdict)
    assert heard == serving.asked == []
