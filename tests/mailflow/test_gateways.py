"""Outbound rules send letters by way of a gateway, over TLS and with a password, and nothing else goes there."""

from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import AuthResult, LoginPassword

from postroom.mailflow import destinations
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.gateways import Gateway, as_smarthost, check
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.resolver import Resolver
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.dns import NameServer
from tests.mailflow.conftest import OpenElsewhere
from tests.mailflow.letters import send
from tests.mailflow.test_flow_rules import queued
from tests.mailflow.test_outbound import context
from tests.mailflow.test_sieve import places
from tests.people import People

SETTINGS = Settings(hostname="mx.example.test")
Dns = tuple[NameServer, Resolver]


def put(store: Store, *to: str, name: str = "edge") -> None:
    with store.transaction(1) as tx:
        flow_rules.put(tx, Rule(Way.OUTBOUND, name, Action.GATEWAY, destinations=to, target=name))


def carrier(store: Store, resolver: Resolver, port: int = 25, **gateways: Gateway) -> Carrier:
    settings = Settings(hostname="mx.example.test", port=port)
    return Carrier(store, resolver, settings, gateways={name: as_smarthost(one, settings) for name, one in gateways.items()})


async def test_letters_for_whom_the_rule_is_go_by_the_gateway_and_no_others(
    store: Store, people: People, dns: Dns, open_elsewhere: OpenElsewhere
) -> None:
    far, edge = await open_elsewhere(), await open_elsewhere()
    dns[0].host("far.test")
    put(store, "*.via.test", "bob@example.test")
    send(store, people.actor("alice"), "x@far.test", "y@a.via.test", "z@b.via.test", "bob@example.test", "carol@example.test")
    assert (places(store, people, "bob"), places(store, people, "carol")) == ({}, {"Inbox": [0]})
    await carrier(store, dns[1], far.port, edge=Gateway(address=f"127.0.0.1:{edge.port}", tls="none")).sweep()
    assert [recipients for _, recipients, _ in far.got] == [["x@far.test"]]
    assert sorted(one for _, recipients, _ in edge.got for one in recipients) == ["bob@example.test", "y@a.via.test", "z@b.via.test"]
    assert queued(store) == []


@pytest.mark.parametrize(
    ("name", "password", "arrives"), [("edge.test", "secret", True), ("another.test", "secret", False), ("edge.test", "x", False)]
)
async def test_a_gateway_proves_its_name_and_gets_a_password(
    store: Store, people: People, dns: Dns, open_elsewhere: OpenElsewhere, tmp_path: Any, name: str, password: str, arrives: bool
) -> None:
    def authenticate(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (b"us", b"secret"), handled=False)

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "password").write_text(f"{password}\n")
    options = {"tls_context": context(authority, name), "authenticator": authenticate, "auth_required": True, "auth_require_tls": True}
    edge = await open_elsewhere(smtp=options)
    dns[0].add("edge.test", "A", "127.0.0.1")
    put(store, "*")
    send(store, people.actor("alice"), "x@far.test")
    files = {"password_file": str(tmp_path / "password"), "ca": str(tmp_path / "ca.pem")}
    await carrier(store, dns[1], edge=Gateway(address=f"edge.test:{edge.port}", user="us", **files)).sweep()
    assert (len(edge.got) == 1, queued(store) == []) == (arrives, arrives)


async def test_what_waits_for_a_gateway_shows_why_and_goes_when_it_is_back(
    store: Store, people: People, dns: Dns, open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    put(store, "far.test", name="gone")
    for name in ("x@far.test", "y@far.test"):
        send(store, people.actor("alice"), name)
    await carrier(store, dns[1]).sweep()
    with store.transaction(1, write=False) as tx:
        known = destinations.find(tx, "gateway:gone")
    assert known is not None
    assert (known.blocked, known.failures, known.status, known.reply) == (True, 1, "4.3.5", "The gateway gone is not configured")
    edge = await open_elsewhere()
    clock.advance(known.blocked_until - clock.now)
    await carrier(store, dns[1], gone=Gateway(address=f"localhost:{edge.port}", tls="none")).sweep()
    assert (sorted(recipients for _, recipients, _ in edge.got), queued(store)) == ([["x@far.test"], ["y@far.test"]], [])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"address": ""}, "no host:port"),
        ({"address": "host:70000"}, "no host:port"),
        ({"address": "host:x"}, "invalid literal"),
        ({"address": "host", "user": "us"}, "both user and a password"),
        ({"address": "host", "password": "x"}, "both user and a password"),
        ({"address": "host", "user": "us", "password": "x", "password_file": "y"}, "either"),
        ({"address": "host", "user": "us", "password": "x", "tls": "none"}, "in clear"),
    ],
)
def test_what_is_no_gateway(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(Gateway(**values))


def test_where_a_gateway_is() -> None:
    where = {text: as_smarthost(Gateway(address=text), SETTINGS).smarthost for text in ("edge.test", "edge.test:25", "[2001:db8::1]:26")}
    assert list(where.values()) == ["edge.test:587", "edge.test:25", "[2001:db8::1]:26"]
