"""Who has signed in submits as long as what let them in: rules and passwords that change under a living session."""

import asyncio
import base64
import ssl

import pytest
from structlog.testing import capture_logs

from postroom.directory import registration, users
from postroom.policy import access_rules, passwords
from postroom.policy.access_rules import AccessRule, Conditions, Effect
from postroom.storage.engine import Store, Tx
from tests.people import PASSWORD, People, inbox
from tests.protocols.smtp.conftest import Listen
from tests.protocols.smtp.test_server import Client

CREDENTIALS = base64.b64encode(f"\0alice@example.test\0{PASSWORD}".encode())
RULE = AccessRule("not-from-here", Effect.DENY, Conditions(ip_ranges=("127.0.0.0/8",), actions=("SMTP",)))


async def submitting(listen: Listen, client_tls: ssl.SSLContext) -> Client:
    listening = await listen("submission", implicit=True)
    streams = await asyncio.open_connection(listening.host, listening.port, ssl=client_tls, server_hostname="mx.example.test")
    client = Client(*streams)
    assert (await client.reply()).startswith("220")
    assert (await client.say(b"EHLO client.test\r\n")).startswith("250")
    assert (await client.say(b"AUTH PLAIN " + CREDENTIALS + b"\r\n")).startswith("235")
    return client


@pytest.mark.parametrize("change", ["rule", "password", "deregistered"])
async def test_a_letter_begun_before_a_change_is_refused_after_it(
    listen: Listen, store: Store, people: People, client_tls: ssl.SSLContext, change: str
) -> None:
    client = await submitting(listen, client_tls)
    for line in (b"MAIL FROM:<alice@example.test>\r\n", b"RCPT TO:<bob@example.test>\r\n"):
        assert (await client.say(line)).startswith("250")
    assert (await client.say(b"DATA\r\n")).startswith("354")

    def happen(tx: Tx) -> None:
        match change:
            case "rule":
                access_rules.put(tx, RULE)
            case "password":
                users.reset_password(tx, people.ids["alice"], passwords.hash("Another-Horse-8"))
            case _:
                registration.deregister(tx, people.ids["alice"])

    await store.transact(people.organization.number, happen)
    assert (await client.say(b"From: alice@example.test\r\n\r\nx\r\n.\r\n")).startswith("550 5.7.1 ")
    assert (await client.say(b"MAIL FROM:<alice@example.test>\r\n")).startswith("550 5.7.1 ")
    assert (await client.say(b"MAIL FROM:<>\r\n")).startswith("550 5.7.1 ")
    assert inbox(store, people.organization.number, people.ids["bob"]) == []


async def test_a_rule_taken_back_lets_the_same_session_go_on(
    listen: Listen, store: Store, people: People, client_tls: ssl.SSLContext
) -> None:
    client = await submitting(listen, client_tls)
    with capture_logs() as logs:
        await store.transact(people.organization.number, access_rules.put, RULE)
        refused = await client.say(b"MAIL FROM:<alice@example.test>\r\n")
    assert refused.startswith("550 5.7.1 ")
    assert RULE.name not in refused
    assert [(entry["user"], entry["rules"]) for entry in logs if entry["event"] == "session_denied"] == [
        ("alice@example.test", [RULE.name])
    ]
    await store.transact(people.organization.number, access_rules.delete, RULE.name)
    for line in (b"MAIL FROM:<alice@example.test>\r\n", b"RCPT TO:<bob@example.test>\r\n", b"DATA\r\n"):
        assert (await client.say(line))[0] in "23"
    assert (await client.say(b"From: alice@example.test\r\n\r\nx\r\n.\r\n")).startswith("250")
    assert len(inbox(store, people.organization.number, people.ids["bob"])) == 1
