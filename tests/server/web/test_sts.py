"""The policy that the web door serves for our own domains, and the records that announce it."""

from pathlib import Path

import pytest

from postroom.formats import sts_policy
from postroom.model.organizations import Organization
from postroom.model.web import Answer, Request
from postroom.server import configuration
from postroom.server.findings import Level
from postroom.server.settings import Settings
from postroom.server.web import sts
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import organizations


def settings(text: str = "", **values: str) -> Settings:
    lines = "".join(f"{name} = {value}\n" for name, value in {"mode": "'enforce'", **values}.items())
    return configuration.parse(f"[mail]\nhostname = 'mail.example.test'\n[mta_sts]\n{lines}{text}", Path("/srv"))


async def ask(store: Store, host: str, made: Settings | None = None) -> Answer:
    route = sts.route(made or settings(), store)
    request = Request("GET", host, sts.PATH, secure=True)
    assert route.stands_for(host, request.path)
    assert not route.plain
    return await route.handler(request)


async def test_domains_that_take_mail_have_a_policy(store: Store, organization: Organization) -> None:
    answer = await ask(store, "mta-sts.example.test")
    assert (answer.status, answer.kind) == (200, "text/plain; charset=utf-8")
    assert answer.body == b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.test\r\nmax_age: 604800\r\n"
    assert sts_policy.parse(answer.body).admits("mail.example.test")


@pytest.mark.parametrize("host", ["mta-sts.other.test", "mta-sts.pending.test", "mta-sts.mta-sts.example.test", "mta-sts.-"])
async def test_others_have_none(store: Store, organization: Organization, host: str) -> None:
    with store.transaction(REGISTRY) as tx:
        organizations.insert_claim(tx, "pending.test", organization.number)
    assert (await ask(store, host)).status == 404


async def test_a_policy_says_what_the_settings_do(store: Store, organization: Organization) -> None:
    made = settings("[domains]\nmail_host = 'mx.other.test'\n", max_age="86400")
    assert b"\r\nmx: mx.other.test\r\nmax_age: 86400\r\n" in (await ask(store, "mta-sts.example.test", made)).body
    made = settings(hosts="['*.Example.test', 'mx.other.test']")
    assert b"\r\nmx: *.example.test\r\nmx: mx.other.test\r\n" in (await ask(store, "mta-sts.example.test", made)).body


def test_the_id_follows_the_policy() -> None:
    record, host = sts.records("example.test", settings())
    assert (record.type, record.hostname) == ("TXT", "_mta-sts.example.test")
    assert host.line == "mta-sts.example.test. CNAME mail.example.test."
    same, other = sts.records("else.test", settings())[0], sts.records("example.test", settings(max_age="86400"))[0]
    assert sts_policy.identifier([record.value]) == sts_policy.identifier([same.value]) is not None
    assert sts_policy.identifier([other.value]) not in (None, sts_policy.identifier([record.value]))


def test_what_check_says_of_it() -> None:
    open_door = "[web]\nlisten_tls = ['*:443']\n"
    trusted = "[tls]\ncertificate = 'a.pem'\nkey = 'a.key'\n"
    cases = {
        open_door + trusted: [Level.GOOD],
        trusted: [Level.WARNING],
        open_door: [Level.BAD],
        open_door + "listen = ['*:80']\n[tls.acme]\nenabled = true\nagree_to_terms = true\n": [Level.GOOD],
        "": [Level.WARNING, Level.BAD],
    }
    for text, levels in cases.items():
        assert [finding.level for finding in sts.findings(settings(text))] == levels, text
    assert [finding.level for finding in sts.findings(settings(open_door, mode="'testing'"))] == [Level.WARNING]
    assert list(sts.findings(settings(mode="'none'"))) == []
