"""What DNSSEC proves, as far as the name server may be believed about it."""

import pytest

from postroom.mailflow.resolver import NoAnswer, Resolver
from postroom.mailflow.tlsa import Tlsa
from tests.dns import name_server

DIGEST = "ab" * 32


async def test_what_a_name_server_on_this_machine_has_proved() -> None:
    async with name_server() as (server, where):
        resolver = Resolver([where], lifetime=2.0)
        server.proved.add("safe.test")
        for domain in ("safe.test", "plain.test"):
            server.host(domain)
            server.add(f"_25._tcp.mx.{domain}", "TLSA", f"3 1 1 {DIGEST}", "2 0 0 00")
            exchanges, addresses = await resolver.proved_exchanges(domain), await resolver.proved_addresses(f"mx.{domain}")
            records = await resolver.tlsa(f"mx.{domain}", 25)
            assert (exchanges.records, addresses.records) == (((10, f"mx.{domain}"),), ("127.0.0.1",))
            assert {answer.authenticated for answer in (exchanges, addresses, records)} == {domain == "safe.test"}
            assert set(records.records) == {Tlsa(3, 1, 1, bytes.fromhex(DIGEST)), Tlsa(2, 0, 0, b"\0")}
        assert (await resolver.proved_exchanges("mx.safe.test")).authenticated  # an empty answer can be proved too
        assert (await resolver.tlsa("absent.test", 25)).records == ()
        server.failing.add("_26._tcp.mx.safe.test")
        with pytest.raises(NoAnswer):
            await resolver.tlsa("mx.safe.test", 26)


async def test_tlsa_records_that_make_no_sense_are_there_and_of_no_use() -> None:
    async with name_server() as (server, where):
        server.host("safe.test")
        server.proved.add("safe.test")
        name = ("_25._tcp.mx.safe.test", "TLSA")
        server.senseless[name] = [b"\3\1", b""]
        answer = await Resolver([where], lifetime=2.0).tlsa("mx.safe.test", 25)
        assert answer.authenticated
        assert [record.usable for record in answer.records] == [False]
        server.add(*name, f"3 1 1 {DIGEST}")
        answer = await Resolver([where], lifetime=2.0).tlsa("mx.safe.test", 25)
        assert [record for record in answer.records if record.usable] == [Tlsa(3, 1, 1, bytes.fromhex(DIGEST))]
        server.records[("_25._tcp.other.safe.test", "CNAME")] = [f"{name[0]}."]
        answer = await Resolver([where], lifetime=2.0).tlsa("other.safe.test", 25)
        assert any(record.usable for record in answer.records)


async def test_one_kind_of_address_that_is_not_proved_spoils_the_other() -> None:
    async with name_server() as (server, where):
        server.add("two.test", "A", "127.0.0.1")
        server.add("two.test", "AAAA", "::1")
        server.proved.add("two.test")
        resolver = Resolver([where])
        assert (await resolver.proved_addresses("two.test")).authenticated
        server.proved.clear()
        await resolver.proved_addresses("two.test")
        fresh = Resolver([where])
        assert not (await fresh.proved_addresses("two.test")).authenticated


def test_who_is_believed() -> None:
    assert Resolver(["127.0.0.1"]).believed
    assert Resolver(["[::1]:5353", "127.0.0.53"]).believed
    assert not Resolver(["192.0.2.1"]).believed
    assert not Resolver(["127.0.0.1", "192.0.2.1"]).believed
    assert Resolver(["192.0.2.1"], validating=True).believed
