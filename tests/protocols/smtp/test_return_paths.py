"""Rewritten return paths at the door of strangers: bounces come in by them, letters do not."""

import asyncio
import ssl

import pytest

from postroom.mailflow import srs
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.people import People
from tests.protocols.smtp.conftest import Listen
from tests.protocols.smtp.test_admission import submitting
from tests.protocols.smtp.test_server import Client


def path(store: Store) -> str:
    with store.transaction(1, write=False) as tx:
        return srs.forward(tx, "author@far.test", "example.test")


def waiting(store: Store) -> list[str]:
    with store.transaction(1, write=False) as tx:
        return [row[2] for row in rows.page(tx, after=0, limit=100)]


async def test_a_bounce_goes_back(listen: Listen, store: Store, people: People) -> None:
    listening = await listen()
    client = Client(*await asyncio.open_connection(listening.host, listening.port))
    await client.reply()
    await client.say(b"EHLO client.test\r\n")
    await client.say(b"MAIL FROM:<>\r\n")
    assert (await client.say(f"RCPT TO:<{path(store).lower()}>\r\n".encode())).startswith("250")
    assert (await client.say(f"RCPT TO:<{path(store).replace('author', 'victim')}>\r\n".encode())).startswith("550 5.1.1")
    assert (await client.say(b"DATA\r\n")).startswith("354")
    assert (await client.say(b"From: mailer-daemon@next.test\r\n\r\nlost\r\n.\r\n")).startswith("250")
    assert waiting(store) == ["author@far.test"]


@pytest.mark.parametrize("sender", [b"spammer@evil.test", b"author@far.test", b"alice@example.test"])
async def test_anything_else_does_not(listen: Listen, store: Store, people: People, sender: bytes) -> None:
    listening = await listen()
    client = Client(*await asyncio.open_connection(listening.host, listening.port))
    await client.reply()
    await client.say(b"EHLO client.test\r\n")
    await client.say(b"MAIL FROM:<" + sender + b">\r\n")
    assert (await client.say(f"RCPT TO:<{path(store)}>\r\n".encode())).startswith("550 5.1.1")


async def test_users_do_not_write_by_them(listen: Listen, store: Store, people: People, client_tls: ssl.SSLContext) -> None:
    client = await submitting(listen, client_tls)
    await client.say(b"MAIL FROM:<>\r\n")
    assert (await client.say(f"RCPT TO:<{path(store)}>\r\n".encode())).startswith("550 5.1.1")
