"""How much a user may send in a minute, and from one address: what the client hears, and what others do not notice."""

import asyncio
import base64
import ssl

from postroom.protocols.smtp.rates import Leaks, UserRates
from postroom.protocols.smtp.settings import Settings
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.people import PASSWORD, People, inbox
from tests.protocols.smtp.conftest import Listen, Listening
from tests.protocols.smtp.test_server import Client

Codes = list[str]


async def signed_in(listening: Listening, client_tls: ssl.SSLContext, name: str = "alice") -> Client:
    streams = await asyncio.open_connection(listening.host, listening.port, ssl=client_tls, server_hostname="mx.example.test")
    client = Client(*streams)
    assert (await client.reply()).startswith("220")
    assert (await client.say(b"EHLO client.test\r\n")).startswith("250")
    credentials = base64.b64encode(f"\0{name}@example.test\0{PASSWORD}".encode())
    assert (await client.say(b"AUTH PLAIN " + credentials + b"\r\n")).startswith("235")
    return client


async def begun(client: Client, sender: str = "alice") -> str:
    await client.say(b"RSET\r\n")
    return (await client.say(f"MAIL FROM:<{sender}@example.test>\r\n".encode()))[:9]


async def named(client: Client, *recipients: str) -> Codes:
    return [(await client.say(f"RCPT TO:<{recipient}>\r\n".encode()))[:9] for recipient in recipients]


async def test_a_user_sends_so_many_messages_a_minute_over_all_connections(
    listen: Listen, client_tls: ssl.SSLContext, people: People
) -> None:
    listening = await listen("submission", implicit=True, messages_per_minute_of_user=3)
    first, second = await signed_in(listening, client_tls), await signed_in(listening, client_tls)
    assert [await begun(client) for client in (first, second, first, second, first)] == ["250 2.1.0"] * 3 + ["451 4.7.1"] * 2
    assert [await begun(second, "ally")] == ["451 4.7.1"]
    bob = await signed_in(listening, client_tls, "bob")
    assert await begun(bob, "bob") == "250 2.1.0"


async def test_a_user_names_so_many_recipients_a_minute_and_those_named_get_the_letter(
    listen: Listen, client_tls: ssl.SSLContext, store: Store, people: People
) -> None:
    listening = await listen("submission", implicit=True, recipients_per_minute_of_user=2)
    client = await signed_in(listening, client_tls)
    await begun(client)
    assert await named(client, "bob@example.test", "carol@example.test", "a@far.test") == ["250 2.1.5"] * 2 + ["451 4.7.1"]
    assert (await client.say(b"DATA\r\n")).startswith("354")
    assert (await client.say(b"From: alice@example.test\r\n\r\nx\r\n.\r\n")).startswith("250")
    assert [len(inbox(store, 1, people.ids[name])) for name in ("bob", "carol")] == [1, 1]


async def test_a_user_who_guesses_addresses_hears_of_none_any_more(listen: Listen, client_tls: ssl.SSLContext, people: People) -> None:
    listening = await listen("submission", implicit=True, unknown_recipients_per_minute_of_user=2)
    client = await signed_in(listening, client_tls)
    await begun(client)
    answers = await named(
        client, "x@example.test", "bob@example.test", "y@example.test", "z@example.test", "bob@example.test", "a@far.test"
    )
    assert answers == ["550 5.1.1", "250 2.1.5", "550 5.1.1", "450 4.7.1", "450 4.7.1", "450 4.7.1"]
    assert (await client.say(b"DATA\r\n")).startswith("354")


async def test_an_address_has_its_share_whoever_signs_in_there(listen: Listen, client_tls: ssl.SSLContext, people: People) -> None:
    listening = await listen("submission", implicit=True, messages_per_minute=2, trusted_networks=())
    alice, bob = await signed_in(listening, client_tls), await signed_in(listening, client_tls, "bob")
    assert [await begun(alice), await begun(bob, "bob"), await begun(alice), await begun(bob, "bob")] == ["250 2.1.0"] * 2 + [
        "451 4.7.1"
    ] * 2


async def test_connections_to_submission_are_counted_by_the_minute(listen: Listen, client_tls: ssl.SSLContext, people: People) -> None:
    listening = await listen("submission", connections_per_minute=2, trusted_networks=())
    greetings = []
    for _ in range(3):
        client = Client(*await asyncio.open_connection(listening.host, listening.port))
        greetings.append((await client.reply())[:3])
        client.writer.close()
    assert greetings == ["220", "220", "421"]


def test_users_are_counted_by_the_minute(clock: Clock) -> None:
    rates = UserRates(Settings(messages_per_minute_of_user=60, unknown_recipients_per_minute_of_user=1), clock)
    assert [rates.send("alice") for _ in range(61)] == [True] * 60 + [False]
    assert rates.send("bob")
    clock.advance(1)
    assert [rates.send("alice") for _ in range(2)] == [True, False]
    rates.guess("alice")
    assert rates.guesses("alice")
    assert not rates.guesses("bob")
    clock.advance(60)
    assert not rates.guesses("alice")


def test_room_is_what_add_would_find(clock: Clock) -> None:
    leaks = Leaks(2, clock)
    for _ in range(4):
        assert leaks.has_room("x") is leaks.add("x")
