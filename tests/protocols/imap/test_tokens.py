"""Living sessions that a personal access token has opened: they end with it, and with what lets tokens count."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from postroom.directory import entities
from postroom.model.organizations import Organization
from postroom.policy import identity, tokens
from postroom.policy.identity import Configuration, Mode, TokenStatus
from postroom.policy.tokens import Token
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.protocols.imap.conftest import ALICE, BOB, Client, Running, Start

SOON = {"sign_in_timeout": 1.0}
"""Settings with which the server looks round eight times a second."""


class Door:
    """A server, and tokens that open it."""

    def __init__(self, running: Running, store: Store, organization: Organization) -> None:
        self.running, self.store, self.scope = running, store, organization.number
        self.put()

    def put(self, mode: Mode = Mode.IDENTITY_PROVIDER_AND_DIRECTORY, status: TokenStatus = TokenStatus.ACTIVE) -> None:
        with self.store.transaction(self.scope) as tx:
            identity.put(tx, Configuration(mode, "instance", "application", status))

    def make(self, email: str = ALICE, days: int | None = None) -> tuple[Token, str]:
        with self.store.transaction(self.scope) as tx:
            return tokens.create(tx, entities.get(tx, email).id, name="phone", days=days)

    def do(self, function: Callable[..., object], *args: object) -> None:
        with self.store.transaction(self.scope) as tx:
            function(tx, *args)

    async def enter(self, text: str, email: str = ALICE, *, idle: bool = False) -> Client:
        client = await self.running.connect()
        await client.ok(f"LOGIN {email} {text}".encode())
        if idle:
            await client.ok(b"SELECT INBOX")
            await client.send(b"i IDLE\r\n")
            assert await client.line() == b"+ idling"
        return client


@pytest.fixture
async def door(start: Start, store: Store, organization: Organization) -> Door:
    return Door(await start(**SOON), store, organization)


async def expelled(client: Client) -> None:
    assert (await client.line()) == b"* BYE Sign in again."
    assert await client.ended()


async def stays(client: Client) -> None:
    await client.send(b"DONE\r\n")
    assert (await client.until(b"i "))[-1].startswith(b"i OK")
    await client.ok(b"NOOP")


async def test_a_deleted_token_takes_its_sessions_along_and_no_others(door: Door) -> None:
    (one, text), (_, second) = door.make(), door.make()
    gone, silent, same, password = (
        await door.enter(text, idle=True),
        await door.enter(text),
        await door.enter(second, idle=True),
        await door.running.connect(ALICE),
    )
    with capture_logs() as logs:
        door.do(tokens.delete, one.id)
        await expelled(gone)
        await expelled(silent)
    ended = [(entry["reason"], entry["token"]) for entry in logs if entry["event"] == "session_denied"]
    assert ended == [("token_deleted", one.id)] * 2
    await stays(same)
    await password.ok(b"NOOP")


async def test_a_session_ends_when_its_token_expires(door: Door, clock: Clock) -> None:
    (_, text), (_, longer) = door.make(days=1), door.make(days=2)
    gone, silent, other = await door.enter(text, idle=True), await door.enter(text), await door.enter(longer, idle=True)
    clock.advance(86_400)
    await expelled(gone)
    await expelled(silent)
    await stays(other)


@pytest.mark.parametrize("how", ["inactive", "unconfigured"])
async def test_tokens_that_count_no_more_end_their_sessions(door: Door, how: str) -> None:
    token, password = await door.enter(door.make()[1], idle=True), await door.running.connect(ALICE)
    if how == "inactive":
        door.put(status=TokenStatus.INACTIVE)
    else:
        door.do(identity.delete)
    await expelled(token)
    await password.ok(b"NOOP")


async def test_passwords_that_count_no_more_end_their_sessions(door: Door) -> None:
    token, password = await door.enter(door.make(BOB)[1], BOB, idle=True), await door.running.connect(ALICE)
    door.put(Mode.IDENTITY_PROVIDER_ONLY)
    await expelled(password)
    await stays(token)
    refused = await (await door.running.connect()).command(f'LOGIN {ALICE} "correct horse"'.encode())
    assert b" NO [AUTHENTICATIONFAILED]" in refused[-1]
