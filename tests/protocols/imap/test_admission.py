"""Who has signed in stays as long as what let them in: rules, passwords and mailboxes that change under living sessions."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from postroom.directory import entities, registration, users
from postroom.mailbox import access, contents, folders, items
from postroom.model.errors import TryLater
from postroom.model.organizations import Organization
from postroom.policy import access_rules, passwords
from postroom.policy.access_rules import AccessRule, Conditions, Effect
from postroom.policy.authenticator import Authenticator
from postroom.protocols.imap import server as server_module
from postroom.protocols.imap import updates
from postroom.storage.engine import Store, Tx
from postroom.storage.pipe import Pipe
from tests.protocols.imap.conftest import ALICE, BOB, PASSWORD, Client, Running, Start

LARGE = b"Subject: large\r\n\r\n" + b"a line of sixty-two octets, and many of them make a large one\r\n" * 8000
NEW_PASSWORD = "Another-Horse-8"


async def deny(store: Store, organization: Organization, **conditions: tuple[str, ...]) -> None:
    """Put a rule that denies."""
    await store.transact(organization.number, access_rules.put, AccessRule("no", Effect.DENY, Conditions(**conditions)))


async def allow(store: Store, organization: Organization) -> None:
    """Take the rule back."""
    await store.transact(organization.number, access_rules.delete, "no")


async def id_of(store: Store, organization: Organization, address: str) -> str:
    return (await store.read(organization.number, entities.get, address)).id


async def begin_idle(client: Client) -> None:
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"


async def expelled(client: Client) -> None:
    """Read the goodbye and the end."""
    line = await client.line()
    assert line.startswith(b"* BYE "), line
    assert not any(word in line.lower() for word in (b"rule", b"password", b"no ")), "why is for the log alone"
    assert await client.ended()


async def refused(server: Running, email: str = ALICE, password: str = PASSWORD) -> bool:
    client = await server.connect()
    return b" NO [AUTHENTICATIONFAILED]" in (await client.command(f'LOGIN {email} "{password}"'.encode()))[-1]


async def test_a_rule_ends_the_sessions_it_denies_and_no_others(server: Running, store: Store, organization: Organization) -> None:
    idle, silent, other = await server.connect(ALICE, "INBOX"), await server.connect(ALICE), await server.connect(BOB, "INBOX")
    await begin_idle(idle)
    await begin_idle(other)
    with capture_logs() as logs:
        await deny(store, organization, actions=("IMAP",), user_ids=(await id_of(store, organization, ALICE),))
        await expelled(idle)
        await expelled(silent)
    denied = [(entry["user"], entry["reason"], entry["rules"]) for entry in logs if entry["event"] == "session_denied"]
    assert denied == [(ALICE, "access_rule", ["no"])] * 2
    assert await refused(server)
    await other.send(b"DONE\r\n")
    assert (await other.until(b"i "))[-1].startswith(b"i OK")
    await other.ok(b"NOOP")
    await allow(store, organization)
    await (await server.connect(ALICE, "INBOX")).ok(b"NOOP")


@pytest.mark.parametrize(("range", "stays"), [("127.0.0.0/8", False), ("192.0.2.0/24", True)])
async def test_the_address_of_the_session_itself_counts(
    server: Running, store: Store, organization: Organization, range: str, stays: bool
) -> None:
    client = await server.connect(ALICE)
    await deny(store, organization, ip_ranges=(range,))
    if not stays:
        await expelled(client)
        return
    await client.ok(b"NOOP")
    await store.transact(organization.number, access_rules.delete, "default")
    await expelled(client)


async def test_a_command_that_goes_on_and_on_is_broken_off_between_two_answers(
    server: Running, store: Store, organization: Organization
) -> None:
    count = 60
    prepared = contents.prepare(store, organization.number, LARGE)
    with store.transaction(organization.number) as tx:
        mailbox = access.open_for_delivery(tx, entities.get(tx, ALICE).id)
        inbox = folders.by_role(tx, mailbox, "inbox")
        for _ in range(count):
            items.append(tx, mailbox, inbox.id, prepared)
    busy = await server.connect(ALICE, "INBOX")
    await busy.send(b"f FETCH 1:* BODY.PEEK[]\r\n")
    assert (await busy.line()).startswith(b"* 1 FETCH ")
    await deny(store, organization, actions=("IMAP",))
    async with asyncio.timeout(20):
        rest = await busy.reader.read(-1)
    whole, goodbye, end = rest.rpartition(b"* BYE ")
    assert goodbye
    assert end.endswith(b"\r\n")
    assert whole.endswith(b")\r\n"), "the last answer is whole"
    assert whole.count(LARGE) < count


async def test_a_client_that_does_not_read_goes_without_a_word(
    start: Start, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "EXPULSION_SECONDS", 0.2)
    server = await start()
    client = await server.connect(ALICE)
    await client.ok(b"APPEND INBOX {%d+}\r\n" % len(LARGE) + LARGE)
    await client.ok(b"SELECT INBOX")
    for _ in range(6):
        await client.ok(b"COPY 1:* INBOX")
    for small in (client.writer.get_extra_info("socket"), next(iter(server.imap.fronts)).transport.get_extra_info("socket")):
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            small.setsockopt(socket.SOL_SOCKET, buffer, 1 << 16)
    await client.send(b"f FETCH 1:* BODY.PEEK[]\r\n")
    await client.line()
    (front,) = server.imap.fronts
    unread, quiet = 0, 0
    async with asyncio.timeout(20):
        while not unread or quiet < 20:  # until the kernel takes no more either
            await asyncio.sleep(0.01)
            before, unread = unread, front.transport.get_write_buffer_size()
            quiet = quiet + 1 if unread == before else 0
    await deny(store, organization)
    async with asyncio.timeout(20):
        while server.imap.fronts:
            await asyncio.sleep(0.01)


async def test_a_new_password_ends_what_the_old_one_opened(server: Running, store: Store, organization: Organization) -> None:
    old, other = await server.connect(ALICE), await server.connect(BOB)
    await begin_idle(old)
    await store.transact(organization.number, users.reset_password, ALICE, passwords.hash(NEW_PASSWORD))
    await expelled(old)
    assert await refused(server)
    client = await server.connect()
    await client.ok(f'LOGIN {ALICE} "{NEW_PASSWORD}"'.encode())
    await deny(store, organization, user_ids=(await id_of(store, organization, BOB),))
    await expelled(other)
    await client.ok(b"NOOP")


async def test_who_is_deregistered_goes_even_between_commands(server: Running, store: Store, organization: Organization) -> None:
    client = await server.connect(ALICE, "INBOX")
    await store.transact(organization.number, registration.deregister, ALICE)
    await expelled(client)


async def test_nothing_is_done_for_a_client_in_doubt(
    server: Running, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that comes before the others have been asked about is not carried out."""
    client = await server.connect(ALICE)
    monkeypatch.setattr(server.imap, "doubt", lambda front: None)
    await deny(store, organization)
    await client.send(b"c CREATE folder\r\n")
    assert (await client.line()).startswith(b"* BYE ")
    assert await client.ended()
    await allow(store, organization)
    assert not any(b"folder" in line for line in await (await server.connect(ALICE)).ok(b'LIST "" *'))


async def test_a_store_that_cannot_answer_is_asked_again(
    server: Running, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await server.connect(ALICE)
    answers: list[Callable[..., list[bytes]]] = [updates.goodbyes_of]

    def fail_once(tx: Tx, sessions: object) -> list[bytes]:
        monkeypatch.setattr(updates, "goodbyes_of", answers.pop())
        raise TryLater("The store cannot read now.")

    monkeypatch.setattr(server_module, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(updates, "goodbyes_of", fail_once)
    await deny(store, organization)
    await expelled(client)
    assert not answers


async def test_what_changes_while_a_client_signs_in_is_not_missed(
    server: Running, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await server.connect()
    attempt = Authenticator.authenticate

    async def slowly(self: Authenticator, *args: object) -> object:
        actor = await attempt(self, *args)  # type: ignore[arg-type]
        await deny(store, organization)
        return actor

    monkeypatch.setattr(Authenticator, "authenticate", slowly)
    await client.ok(f'LOGIN {ALICE} "{PASSWORD}"'.encode())
    await expelled(client)


async def test_a_thousand_sessions_are_asked_about_in_a_few_transactions(
    start: Start, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    answer = updates.goodbyes_of

    def count(tx: Tx, sessions: list[object]) -> list[bytes]:
        asked.append(len(sessions))
        return answer(tx, sessions)  # type: ignore[arg-type]

    monkeypatch.setattr(updates, "goodbyes_of", count)
    monkeypatch.setattr(server_module, "TOGETHER", 8)
    server = await start()
    clients = [await server.connect(ALICE if number % 2 else BOB) for number in range(20)]
    for client in clients:
        await begin_idle(client)
    await deny(store, organization, user_ids=(await id_of(store, organization, ALICE),))
    for client in clients[1::2]:
        await expelled(client)
    assert sum(asked) == 20
    assert len(asked) == 3
    for client in clients[::2]:
        await client.send(b"DONE\r\n")
        assert (await client.line()).startswith(b"i OK")


# Another process


async def test_what_another_process_changes_counts_here(
    server: Running, store: Store, neighbour: Store, organization: Organization
) -> None:
    store.hear()
    idle, silent = await server.connect(ALICE, "INBOX"), await server.connect(BOB)
    await begin_idle(idle)
    await neighbour.transact(organization.number, users.reset_password, ALICE, passwords.hash(NEW_PASSWORD))
    await expelled(idle)
    await deny(neighbour, organization)
    await expelled(silent)


async def test_what_was_told_while_nobody_listened_is_asked_for(
    server: Running, store: Store, neighbour: Store, organization: Organization, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of which this process was never told ends its sessions once it learns that it has missed something."""
    store.hear()
    silent = await server.connect(ALICE)
    if store.engine == "sqlite":
        put, tries = Pipe._put, [False]
        monkeypatch.setattr(Pipe, "_put", lambda self, line: tries.pop() if tries else put(self, line))  # no room, and then room again
        await deny(neighbour, organization)
    else:
        import psycopg

        from postroom.storage.postgres import PostgresEngine

        monkeypatch.setattr(PostgresEngine, "tell", lambda self, scope, changes: None)
        await deny(neighbour, organization)
        with psycopg.connect(request.getfixturevalue("postgres_database"), autocommit=True) as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"
            )
    await expelled(silent)
    assert store.engine == "postgresql" or not tries


async def test_news_that_may_have_been_missed_are_looked_for(
    server: Running, store: Store, neighbour: Store, organization: Organization
) -> None:
    """Clients in IDLE, and those that ask, see what nobody has told this process of."""
    idle, asking = await server.connect(ALICE, "INBOX"), await server.connect(BOB, "INBOX")
    await begin_idle(idle)
    prepared = contents.prepare(neighbour, organization.number, b"Subject: s\r\n\r\nx\r\n")
    for owner in (ALICE, BOB):
        identifier = await id_of(store, organization, owner)
        with neighbour.transaction(organization.number) as tx:
            mailbox = access.open_for_delivery(tx, identifier)
            items.append(tx, mailbox, folders.by_role(tx, mailbox, "inbox").id, prepared)
    assert not any(b"EXISTS" in line for line in await asking.ok(b"NOOP"))
    store.notifier.missed()
    assert await idle.line() == b"* 1 EXISTS"
    assert b"* 1 EXISTS" in await asking.ok(b"NOOP")
