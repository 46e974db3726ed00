"""Screening: bounded in time and questions, nothing asked twice, strangers known as such even where nobody asks who they are."""

from __future__ import annotations

import asyncio

from postroom.mailflow.assessment import Result
from postroom.mailflow.authentication.settings import Settings
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.filters.filters import Filters
from postroom.mailflow.filters.settings import Settings as FilterSettings
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.screening import Arrival, Screening
from tests.interop.nameserver import Nameserver

HEAD = b"Return-Path: <a@example.test>\r\nReceived: from x\r\n"
LETTER = b"From: a@example.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\nx\r\n"


class Raw:
    def read(self) -> bytes:
        return HEAD + LETTER


def arrival(address: str = "192.0.2.1") -> Arrival:
    return Arrival(address, "mx.example.test", Envelope("a@example.test", ("b@us.test",)), Raw(), len(HEAD), len(HEAD + LETTER))


def screening(nameserver: str, **values: object) -> Screening:
    filters = Filters(FilterSettings(headers=False))
    return Screening(filters, resolver=Resolver((nameserver,)), settings=Settings(**values), hostname="mx.us.test")  # type: ignore[arg-type]


async def test_a_letter_that_is_authorized_and_one_that_is_not() -> None:
    zone = {("example.test", "TXT"): ['"v=spf1 ip4:192.0.2.1 -all"'], ("_dmarc.example.test", "TXT"): ['"v=DMARC1; p=reject"']}
    with Nameserver(zone) as nameserver:
        checks = screening(f"127.0.0.1:{nameserver.port}")
        good = (await checks.assess(arrival())).authentication
        bad = (await checks.assess(arrival("192.0.2.9"))).authentication
        assert good is not None
        assert bad is not None
        assert (good.spf.result, good.dmarc.result) == (Result.PASS, Result.PASS)
        assert (bad.spf.result, bad.dmarc.result, bad.dmarc.policy) == (Result.FAIL, Result.FAIL, "reject")
        asked = [question for question in nameserver.asked if question == ("example.test", "TXT")]
        assert len(asked) == 1


async def test_who_does_not_answer_costs_a_letter_its_time_and_no_more() -> None:
    class Silent(asyncio.DatagramProtocol):
        pass

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Silent, local_addr=("127.0.0.1", 0))
    checks = screening(f"127.0.0.1:{transport.get_extra_info('sockname')[1]}", seconds=0.2)
    began = loop.time()
    known = (await checks.assess(arrival())).authentication
    transport.close()
    assert loop.time() - began < 2
    assert known is not None
    assert (known.spf.result, known.dmarc.result, known.dmarc.policy) == (Result.TEMPERROR, Result.TEMPERROR, "none")


async def test_a_letter_costs_so_many_questions() -> None:
    zone = {("example.test", "TXT"): ['"v=spf1 a:a.example.test a:b.example.test -all"']}
    with Nameserver(zone) as nameserver:
        known = (await screening(f"127.0.0.1:{nameserver.port}", questions=2).assess(arrival())).authentication
        assert known is not None
        assert known.spf.result is Result.TEMPERROR
        assert len(nameserver.asked) <= 2


async def test_strangers_are_no_people_of_ours_where_nobody_asks_who_they_are() -> None:
    for values in ({"enabled": False}, {"trusted_relays": ("192.0.2.0/24",)}):
        assessment = await screening("127.0.0.1:1", **values).assess(arrival())
        assert assessment.authentication is not None
        assert assessment.authentication.spf.result is Result.NONE




async def test_whom_a_domain_tells_is_not_kept_where_nobody_reports() -> None:
    zone = {("_dmarc.example.test", "TXT"): ['"v=DMARC1; p=none; rua=mailto:r@example.test"']}
    with Nameserver(zone) as nameserver:
        resolver = Resolver((f"127.0.0.1:{nameserver.port}",))
        for reports in (True, False):
            checks = Screening(Filters(FilterSettings(headers=False)), resolver=resolver, hostname="mx.us.test", reports=reports)
            known = (await checks.assess(arrival())).authentication
            assert known is not None
            assert known.dmarc.record.startswith("v=DMARC1")
            assert known.dmarc.reports == (("mailto:r@example.test",) if reports else ())
