"""What is demanded of the encryption to others, and what comes of it, over real TLS."""

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from postroom.mailflow.outbound.link import Link
from postroom.mailflow.outbound.tls_outcome import TlsOutcome
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.verdicts import Verdict
from tests.dns import NameServer
from tests.mailflow.conftest import OpenElsewhere
from tests.mailflow.far import Far


@pytest_asyncio.fixture
async def far(dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere) -> Far:
    return Far(dns[0], open_elsewhere)


async def test_without_a_policy_any_certificate_will_do(far: Far) -> None:
    await far.serve("another.test")
    opened, heard = await far.dial()
    assert isinstance(opened, Link)
    assert opened.tls.split()[0] == "TLSv1.3"
    assert opened.tls.split()[2] == "unverified"
    assert heard == [TlsOutcome("no-policy-found", "far.test", (), "mx.far.test", "127.0.0.1", "127.0.0.1", "", "", 7.0)]


async def test_without_a_policy_plain_will_do(far: Far) -> None:
    await far.serve(tls=False)
    opened, heard = await far.dial()
    assert isinstance(opened, Link)
    assert opened.tls == ""
    assert [outcome.result for outcome in heard] == ["starttls-not-supported"]


@pytest.mark.parametrize("usage", [2, 3])
async def test_a_certificate_that_tlsa_names(far: Far, usage: int) -> None:
    await far.serve()
    far.name(f"3 1 1 {far.key()}" if usage == 3 else f"2 0 1 {far.issuer()}", f"3 1 1 {'00' * 32}")
    opened, heard = await far.dial()
    if usage == 3:
        assert isinstance(opened, Link)
        assert opened.tls.endswith(" dane")
        assert (heard[0].policy_type, heard[0].result) == ("tlsa", "")
        assert f"3 1 1 {far.key()}" in heard[0].policy_text
    else:  # the authority is a digest only, and the server does not show it
        assert isinstance(opened, Verdict)
        assert heard[0].result == "certificate-not-trusted"


async def test_an_authority_in_full(far: Far) -> None:
    await far.serve()
    root = x509.load_pem_x509_certificate(far.authority.cert_pem.bytes())
    far.name(f"2 0 0 {root.public_bytes(Encoding.DER).hex()}")
    opened, _ = await far.dial()
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" dane")


async def test_another_certificate_than_tlsa_names_is_never_sent_to(far: Far) -> None:
    await far.serve()
    far.name(f"3 1 1 {'00' * 32}")
    opened, heard = await far.dial()
    assert isinstance(opened, Verdict)
    assert (opened.fate.name, opened.status) == ("DEFERRED", "4.7.5")
    assert "TLSA" in opened.text
    assert [(outcome.policy_type, outcome.result) for outcome in heard] == [("tlsa", "validation-failure")]


async def test_the_certificate_of_a_smarthost_that_tlsa_names(far: Far) -> None:
    await far.serve("another.test")
    far.name(f"3 1 1 {far.key()}")
    opened, heard = await far.dial(smarthost=f"mx.far.test:{far.port}")
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" dane")
    far.dns.records.clear()
    far.dns.add("mx.far.test", "A", "127.0.0.1")
    far.name(f"3 1 1 {'00' * 32}")
    opened, heard = await far.dial(smarthost=f"mx.far.test:{far.port}")
    assert isinstance(opened, Verdict)
    assert (opened.fate.name, opened.status) == ("DEFERRED", "4.7.5")
    assert heard == []  # reports are for those whose mail it is


async def test_who_has_tlsa_must_offer_tls(far: Far) -> None:
    await far.serve(tls=False)
    far.name(f"3 1 1 {'00' * 32}")
    opened, heard = await far.dial()
    assert isinstance(opened, Verdict)
    assert (opened.status, heard[0].result) == ("4.7.4", "starttls-not-supported")


async def test_records_that_cannot_be_used_demand_encryption_by_anyone(far: Far) -> None:
    await far.serve("another.test")
    far.name(f"1 1 1 {'00' * 32}")
    opened, heard = await far.dial()
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" unverified")
    assert [outcome.result for outcome in heard] == ["tlsa-invalid"]


async def test_records_that_make_no_sense_stop_no_mail(far: Far) -> None:
    await far.serve("another.test")
    far.dns.senseless[(f"_{far.port}._tcp.mx.far.test", "TLSA")] = [b"\3\1"]
    opened, heard = await far.dial()
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" unverified")
    assert [(outcome.policy_type, outcome.result) for outcome in heard] == [("tlsa", "tlsa-invalid")]


async def test_records_that_make_no_sense_beside_one_that_does(far: Far) -> None:
    await far.serve("another.test")
    far.dns.senseless[(f"_{far.port}._tcp.mx.far.test", "TLSA")] = [b"\3\1"]
    far.name(f"3 1 1 {far.key()}")
    opened, _ = await far.dial()
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" dane")


async def test_records_that_cannot_be_used_and_no_tls(far: Far) -> None:
    await far.serve(tls=False)
    far.name(f"1 1 1 {'00' * 32}")
    opened, _ = await far.dial()
    assert isinstance(opened, Verdict)
    assert opened.status == "4.7.4"


@pytest.mark.parametrize("unproved", ["far.test", "mx.far.test", "_{port}._tcp.mx.far.test"])
async def test_what_is_not_proved_demands_nothing(far: Far, unproved: str) -> None:
    await far.serve()
    far.name(f"3 1 1 {'00' * 32}")
    far.dns.unproved.add(unproved.format(port=far.port))
    opened, heard = await far.dial()
    assert isinstance(opened, Link)
    assert heard[0].policy_type == "no-policy-found"


async def test_when_nobody_can_say_whether_there_is_tlsa_the_host_is_left_alone(far: Far) -> None:
    await far.serve()
    far.dns.failing.add(f"_{far.port}._tcp.mx.far.test")
    opened, heard = await far.dial()
    assert isinstance(opened, Verdict)
    assert (opened.fate.name, opened.status) == ("DEFERRED", "4.7.5")
    assert [(outcome.policy_type, outcome.result) for outcome in heard] == [("tlsa", "dnssec-invalid")]


async def test_the_next_host_may_be_better(far: Far) -> None:
    await far.serve()
    far.dns.host("far.test", exchange="spare.far.test", preference=20)
    far.name(f"3 1 1 {'00' * 32}")
    far.dns.add(f"_{far.port}._tcp.spare.far.test", "TLSA", f"3 1 1 {far.key()}")
    opened, heard = await far.dial()
    assert isinstance(opened, Link)
    assert opened.host == "spare.far.test"
    assert [outcome.result for outcome in heard] == ["validation-failure", ""]


async def test_records_at_the_end_of_an_alias_and_at_the_name_itself(far: Far) -> None:
    await far.serve("elsewhere.far.test")
    far.dns.records[("mx.far.test", "CNAME")] = ["real.far.test."]
    del far.dns.records[("mx.far.test", "A")]
    far.dns.add("real.far.test", "A", "127.0.0.1")
    far.dns.add(f"_{far.port}._tcp.real.far.test", "TLSA", f"3 1 1 {far.key()}")
    far.name(f"3 1 1 {'00' * 32}")
    opened, _ = await far.dial()
    assert isinstance(opened, Link)
    assert opened.tls.endswith(" dane")
