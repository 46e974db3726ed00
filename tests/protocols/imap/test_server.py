"""The loop: limits, time, slow and silent clients, TLS, bugs."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from postroom.directory import entities, registration
from postroom.mailbox import access, contents, folders, items
from postroom.mailbox.access import Right
from postroom.mailbox.folders import Folder
from postroom.model.errors import TryLater
from postroom.model.organizations import Organization
from postroom.protocols.imap import client as client_module
from postroom.protocols.imap import commands, rendering, updates
from postroom.protocols.imap.grammar.commands import Noop
from postroom.protocols.imap.steps import Steps
from postroom.storage.engine import Store, Tx
from tests.protocols.imap.conftest import ALICE, BOB, PASSWORD, Client, Running, Start

LETTER = b"Subject: x\r\n\r\n" + b"line of text\r\n" * 100


def fill(store: Store, organization: Organization, count: int, letter: bytes = LETTER) -> None:
    """Put messages into Alice's inbox."""
    prepared = contents.prepare(store, organization.number, letter)
    with store.transaction(organization.number) as tx:
        mailbox = access.open_for_delivery(tx, entities.get(tx, ALICE).id)
        inbox = folders.by_role(tx, mailbox, "inbox")
        for _ in range(count):
            items.append(tx, mailbox, inbox.id, prepared)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


# Limits


async def test_too_many_connections_from_one_address(start: Start) -> None:
    running = await start(connections_per_address=2, trusted_networks=())
    await running.connect()
    second = await running.connect()
    reader, writer = await asyncio.open_connection(running.host, running.port)
    assert (await Client(reader, writer).line()).startswith(b"* BYE [UNAVAILABLE]")
    writer.close()
    second.close()
    await eventually(lambda: len(running.imap.fronts) == 1)
    await running.connect()


async def test_too_many_connections_in_all(start: Start) -> None:
    running = await start(maximum_connections=1)
    await running.connect()
    reader, writer = await asyncio.open_connection(running.host, running.port)
    assert (await Client(reader, writer).line()).startswith(b"* BYE [UNAVAILABLE]")
    writer.close()


async def test_too_many_bad_commands_end_the_connection(start: Start) -> None:
    client = await (await start(maximum_errors=3)).connect()
    for _ in range(3):
        await client.send(b"a1 NONSENSE\r\n")
    lines = await client.until(b"* BYE")
    assert [line[:6] for line in lines] == [b"a1 BAD", b"a1 BAD", b"a1 BAD", b"* BYE "]
    assert await client.ended()


async def test_bad_commands_are_counted_from_the_last_good_one(start: Start) -> None:
    client = await (await start(maximum_errors=3)).connect()
    for _ in range(4):
        await client.send(b"a1 NONSENSE\r\na2 NONSENSE\r\n")
        await client.until(b"a2 BAD")
        await client.ok(b"NOOP")


async def test_too_many_failed_sign_ins_end_the_connection(start: Start) -> None:
    client = await (await start(maximum_sign_ins=2)).connect()
    for _ in range(2):
        *goodbye, tagged = await client.command(f"LOGIN {ALICE} wrong".encode())
        assert b"AUTHENTICATIONFAILED" in tagged
    assert goodbye == [b"* BYE Too many failed sign-ins."]
    assert await client.ended()


async def test_strangers_get_little_room(server: Running) -> None:
    for flood in (b"a" * 10_000, b"a1 LOGIN {5000+}\r\n"):
        client = await server.connect()
        await client.send(flood)
        assert (await client.line()).startswith(b"* BYE ")
        assert await client.ended()
    client = await server.connect()
    assert b"NO [TOOBIG]" in (await client.command(b"LOGIN {5000}"))[-1]


async def test_a_message_too_large_is_refused_at_once_or_dropped(start: Start) -> None:
    running = await start(maximum_message=1000)
    client = await running.connect(ALICE)
    assert b"NO [TOOBIG]" in (await client.command(b"APPEND INBOX {1001}"))[-1]
    await client.send(b"a1 APPEND INBOX {100000+}\r\n" + b"m" * 100_000 + b"\r\n")
    assert (await client.line()).startswith(b"a1 NO [TOOBIG]")
    assert b"APPENDLIMIT=1000" in (await client.ok(b"CAPABILITY"))[0]
    await client.ok(b"APPEND INBOX {1000+}\r\n" + b"m" * 1000)


async def test_large_messages_go_through_a_spool(start: Start, tmp_path: Any) -> None:
    running = await start(spool_threshold=1000, spool_folder=str(tmp_path))
    client = await running.connect(ALICE)
    letter = b"Subject: large\r\n\r\n" + b"0123456789abcd\r\n" * 50_000
    await client.ok(b"APPEND INBOX {%d+}\r\n" % len(letter) + letter)
    assert running.imap.room.memory.left == running.imap.settings.memory_for_literals
    assert running.imap.room.spools.left == running.imap.settings.spool_limit
    await client.ok(b"SELECT INBOX")
    await client.send(b"a1 FETCH 1 BODY.PEEK[]\r\n")
    assert await client.line() == b"* 1 FETCH (BODY[] {%d}" % len(letter)
    assert await client.reader.readexactly(len(letter)) == letter
    assert await client.until(b"a1 OK") == [b")", b"a1 OK FETCH completed."]


async def test_bytes_in_flight_are_given_back(start: Start) -> None:
    running = await start(memory_for_literals=0, spool_limit=10_000)
    client = await running.connect(ALICE)
    other = await running.connect(ALICE)
    await client.send(b"a1 APPEND INBOX {9000}\r\n")
    assert (await client.line()).startswith(b"+ ")
    assert b"NO [UNAVAILABLE]" in (await other.command(b"APPEND INBOX {9000}"))[-1]
    client.close()
    await eventually(lambda: running.imap.room.spools.left == 10_000)
    await other.ok(b"APPEND INBOX {9000+}\r\n" + b"m" * 9000)


async def test_many_sections_of_one_message_are_not_a_way_to_fill_memory(
    server: Running, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, organization, 1)
    monkeypatch.setattr(rendering, "ANSWER_BYTES", 20 * len(LETTER))
    client = await server.connect(ALICE, "INBOX")
    for count, answer in ((10, b"OK"), (50, b"NO [LIMIT]")):
        sections = b" ".join(b"BODY.PEEK[]<%d.9999>" % start for start in range(count))
        assert b" " + answer + b" " in (await client.command(b"FETCH 1 (" + sections + b")"))[-1]


async def test_long_sets_and_many_keys_are_searched(server: Running, store: Store, organization: Organization) -> None:
    fill(store, organization, 2400)
    client = await server.connect(ALICE, "INBOX")
    odd = b",".join(b"%d" % number for number in range(1, 2400, 2))
    assert len((await client.ok(b"UID SEARCH UID " + odd))[0].split()) == 2 + 1200
    pairs = b",".join(b"%d:%d" % (number, number + 1) for number in range(1, 2400, 3))
    assert len((await client.ok(b"SEARCH NOT " + pairs))[0].split()) == 2 + 800
    keys = b" ".join([b"(NOT 1:2,4:5 UNSEEN)"] * 120)
    assert len((await client.ok(b"SEARCH " + keys + b" " + pairs))[0].split()) == 2 + 1596
    assert b"NO [LIMIT]" in (await client.command(b"SEARCH " + b"UNSEEN " * 500 + b"ALL"))[-1]
    assert b"NO [LIMIT]" in (await client.command(b"SEARCH " + b"TEXT x NOT BODY y HEADER z q " * 17 + b"ALL"))[-1]


async def test_a_hard_list_lets_others_go_first(server: Running, store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        mailbox = access._open(tx, entities.get(tx, ALICE).id, Right.WRITE)
        for number in range(200):
            folders.create(tx, mailbox, "/".join(["x" * 240] * 3 + [f"x{number}"]))
    client, other = await server.connect(ALICE), await server.connect(ALICE)
    for words in (b'LIST "" (' + b" ".join([b'"' + b"*x" * 300 + b'"'] * 10) + b")", b'LSUB "" "' + b"*x" * 450 + b'"'):
        hard = asyncio.create_task(client.command(words))
        await asyncio.sleep(0.01)
        await other.ok(b"NOOP")
        assert not hard.done()
        assert b" OK " in (await hard)[-1]
    assert b" BAD " in (await client.command(b'LIST "" (' + b"* " * 10 + b"*)"))[-1]


async def test_who_is_put_out_of_mail_is_put_out_of_the_mailbox(server: Running, store: Store, organization: Organization) -> None:
    idle, waiting = await server.connect(ALICE, "INBOX"), await server.connect(ALICE)
    busy, nowhere = await server.connect(ALICE, "INBOX"), await server.connect(ALICE)
    for client in (idle, waiting):
        await client.send(b"a1 IDLE\r\n")
        assert await client.line() == b"+ idling"
    bob = await server.connect(BOB, "INBOX")
    with store.transaction(organization.number) as tx:
        registration.deregister(tx, ALICE)
    for client in (idle, waiting):
        assert (await client.line()).startswith(b"* BYE ")
    for client, command in ((busy, b"FETCH 1:* FLAGS"), (nowhere, b"SELECT INBOX")):
        await client.send(b"a1 " + command + b"\r\n")
        assert (await client.line()).startswith(b"* BYE ")
    for client in (idle, waiting, busy, nowhere):
        assert await client.ended()
    await bob.ok(b"NOOP")


async def test_news_is_told_while_the_store_cannot_write(
    server: Running, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, organization, 2)
    client, other = await server.connect(ALICE, "INBOX"), await server.connect(ALICE, "INBOX")
    await other.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    await other.ok(b"EXPUNGE")
    fill(store, organization, 1)

    def fail(tx: Tx, folder: Folder) -> None:
        raise TryLater("The store cannot write now.")

    monkeypatch.setattr(folders, "claim_recent", fail)
    lines = await client.command(b"NOOP")
    assert b"* 1 EXPUNGE" in lines
    assert b"* 2 EXISTS" in lines
    assert b" OK " in lines[-1]


async def test_an_idle_that_fails_leaves_the_connection_in_step(
    server: Running, store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = await server.connect(ALICE, "INBOX")

    def fail(session: object, *, expunges: bool) -> Steps:
        raise RuntimeError("a bug")
        yield

    await idle.send(b"a1 IDLE\r\n")
    assert await idle.line() == b"+ idling"
    with monkeypatch.context() as broken:
        broken.setattr(updates, "announce", fail)
        fill(store, organization, 1)
        assert (await idle.line()).startswith(b"a1 NO [SERVERBUG]")
    await idle.ok(b"NOOP")


# Time


async def test_who_does_not_sign_in_has_to_go(start: Start) -> None:
    client = await (await start(sign_in_timeout=0.2)).connect()
    for _ in range(3):
        await client.ok(b"NOOP")
    assert (await client.line()).startswith(b"* BYE ")
    assert await client.ended()


async def test_who_is_silent_for_too_long_has_to_go_even_in_idle(start: Start) -> None:
    client = await (await start(idle_timeout=0.3)).connect(ALICE, "INBOX")
    await client.send(b"a1 IDLE\r\n")
    assert await client.line() == b"+ idling"
    assert (await client.line()).startswith(b"* BYE ")
    assert await client.ended()


async def test_who_announces_a_literal_and_does_not_send_it_has_to_go(start: Start) -> None:
    running = await start(stall_timeout=0.3)
    client = await running.connect(ALICE)
    await client.send(b"a1 APPEND INBOX {1000000}\r\n")
    assert (await client.line()).startswith(b"+")
    await client.send(b"x" * 1000)
    assert (await client.line()).startswith(b"* BYE ")
    assert await client.ended()
    await eventually(lambda: not running.imap.fronts)
    other = await running.connect(ALICE)
    await other.send(b"a1 APPEND INBOX {5}\r\n")
    assert (await other.line()).startswith(b"+")
    await other.send(b"a: b\n\r\n")
    assert b"OK" in (await other.line())
    await asyncio.sleep(0.6)
    await other.ok(b"NOOP")


async def test_who_does_not_read_has_to_go_and_costs_little(start: Start, store: Store, organization: Organization) -> None:
    fill(store, organization, 60, b"Subject: x\r\n\r\n" + b"m" * 500_000)
    running = await start(stall_timeout=0.5, write_buffer=65536)
    reader, writer = await asyncio.open_connection(running.host, running.port, limit=1024)
    client = Client(reader, writer)
    await client.line()
    await client.ok(f'LOGIN {ALICE} "{PASSWORD}"'.encode())
    await client.ok(b"SELECT INBOX")
    (front,) = running.imap.fronts
    await client.send(b"a1 FETCH 1:* BODY.PEEK[]\r\n" * 3)
    await eventually(lambda: front._paused)
    assert front.transport.get_write_buffer_size() < 4 << 20
    other = await running.connect(ALICE)
    await other.ok(b"NOOP")
    await eventually(lambda: front not in running.imap.fronts)
    await eventually(lambda: not running.imap.tasks)


async def test_a_slow_reader_gets_everything(start: Start, store: Store, organization: Organization) -> None:
    fill(store, organization, 40, b"Subject: x\r\n\r\n" + b"m" * 200_000)
    running = await start(write_buffer=4096)
    client = await running.connect(ALICE, "INBOX")
    await client.send(b"a1 FETCH 1:* BODY.PEEK[]\r\n")
    total = 0
    while not (data := await client.reader.read(100_000)).endswith(b"a1 OK FETCH completed.\r\n"):
        total += len(data)
        await asyncio.sleep(0)
    assert total + len(data) > 40 * 200_000


# Pipelining, closing


async def test_pipelined_commands_are_answered_in_order(server: Running) -> None:
    client = await server.connect(ALICE)
    await client.send(b"".join(b"p%d STATUS INBOX (MESSAGES)\r\nq%d NOOP\r\n" % (number, number) for number in range(300)))
    tags = [(await client.line()).split()[0] for _ in range(900)]
    assert tags == [tag for number in range(300) for tag in (b"*", b"p%d" % number, b"q%d" % number)]


async def test_a_message_in_a_thousand_pieces(server: Running) -> None:
    client = await server.connect(ALICE)
    for byte in b"a1 APPEND INBOX {20+}\r\nSubject: x\r\n\r\nhello\n\r\n":
        await client.send(bytes([byte]))
    assert (await client.line()).startswith(b"a1 OK [APPENDUID")


async def test_closing_says_goodbye(start: Start) -> None:
    running = await start()
    idle = await running.connect(ALICE, "INBOX")
    await idle.send(b"a1 IDLE\r\n")
    await idle.line()
    stranger = await running.connect()
    await running.imap.close(5.0)
    for client in (idle, stranger):
        assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
        assert await client.ended()
    assert not running.imap.fronts


async def test_hanging_up_at_any_moment_leaves_nothing(start: Start, store: Store, organization: Organization) -> None:
    fill(store, organization, 50)
    running = await start()
    for words in (
        b"a IDLE\r\n",
        b"a FETCH 1:* BODY[]\r\n",
        b"a APPEND INBOX {100}\r\n",
        b"a STORE 1:* +FLAGS (x)\r\na SEARCH TEXT line\r\n",
        b"a",
    ):
        client = await running.connect(ALICE, "INBOX")
        await client.send(words)
        client.writer.transport.abort()
    await eventually(lambda: not running.imap.fronts and not running.imap.tasks)
    assert running.imap.room.memory.left == running.imap.settings.memory_for_literals
    assert running.imap.room.spools.left == running.imap.settings.spool_limit
    assert not store.notifier._mailboxes


async def test_a_bug_is_answered_with_a_number(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(session: Any, command: Noop) -> Steps:
        yield b""
        raise ZeroDivisionError

    monkeypatch.setitem(commands.VERBS, Noop, commands.Verb("noop", commands._ANY, broken))
    client = await server.connect()
    tagged = (await client.command(b"NOOP"))[-1]
    assert tagged.startswith(b"t1 NO [SERVERBUG] Internal error ")
    await client.ok(b"CAPABILITY")


# TLS


@pytest.fixture
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's settings and a client's."""
    authority = trustme.CA()
    served, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(served)
    authority.configure_trust(client)
    return served, client


async def test_no_password_goes_in_clear(start: Start, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client = await (await start(tls=certificates[0], clear_sign_in=False)).connect()
    listed = (await client.ok(b"CAPABILITY"))[0]
    assert b" STARTTLS LOGINDISABLED" in listed
    assert b"AUTH=" not in listed
    assert b"NO [PRIVACYREQUIRED]" in (await client.command(f'LOGIN {ALICE} "{PASSWORD}"'.encode()))[-1]
    assert b"NO [PRIVACYREQUIRED]" in (await client.command(b"AUTHENTICATE PLAIN"))[-1]


async def test_starttls_and_nothing_said_before_it_counts(start: Start, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client = await (await start(tls=certificates[0], clear_sign_in=False)).connect()
    await client.send(b"a1 STARTTLS\r\na2 LOGOUT\r\n")
    assert (await client.line()).startswith(b"a1 OK ")
    await client.writer.start_tls(certificates[1], server_hostname="localhost")
    listed = (await client.ok(b"CAPABILITY"))[0]
    assert b"STARTTLS" not in listed
    assert b"AUTH=PLAIN" in listed
    assert (await client.command(b"STARTTLS"))[-1].split()[1] == b"BAD"
    await client.ok(f'LOGIN {ALICE} "{PASSWORD}"'.encode())
    await client.ok(b"SELECT INBOX")
    await client.ok(b"APPEND INBOX {300000+}\r\n" + b"m" * 300_000)
    await client.send(b"a9 FETCH 1 BODY[]\r\n")
    assert len(b"".join(await client.until(b"a9 OK"))) > 300_000


async def test_starttls_needs_a_certificate(server: Running) -> None:
    client = await server.connect()
    assert (await client.command(b"STARTTLS"))[-1].split()[1] == b"BAD"


async def test_no_handshake_no_connection(start: Start, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    running = await start(tls=certificates[0])
    client = await running.connect()
    await client.send(b"a1 STARTTLS\r\n")
    assert (await client.line()).startswith(b"a1 OK ")
    await client.send(b"this is no handshake\r\n" * 20)
    assert await client.ended()
    await eventually(lambda: not running.imap.fronts and not running.imap.tasks)


async def test_implicit_tls(start: Start, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    running = await start(clear_sign_in=False)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: running.imap.connection(implicit_tls=True), "127.0.0.1", 0, ssl=certificates[0])
    host, port = listener.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port, ssl=certificates[1], server_hostname="localhost")
    client = Client(reader, writer)
    assert b"AUTH=PLAIN" in await client.line()
    await client.ok(f'LOGIN {ALICE} "{PASSWORD}"'.encode())
    await client.ok(b"LOGOUT")
    assert await client.ended()
    client.close()
    listener.close()


def test_every_verb_is_counted() -> None:
    assert set(client_module._COUNTERS) == set(commands.VERBS)
