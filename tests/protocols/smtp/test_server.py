"""The loop: what is stored, who is turned away, what is bounded, and how it ends."""

import asyncio
import contextlib
import email.policy
import random
import shutil
import smtplib
import ssl
import tracemalloc
import warnings
from email.message import EmailMessage

import pytest

from postroom.directory import organizations
from postroom.mailbox import contents
from postroom.mailflow.allowance import Allowance
from postroom.mailflow.outgoing import Terms
from postroom.protocols.smtp.session import Routes
from postroom.protocols.smtp.settings import Settings
from postroom.protocols.smtp.spool import NoRoom, Room, Spool
from postroom.protocols.smtp.turnstile import Turnstile
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import make_organization
from tests.people import PASSWORD, People, add_user, inbox
from tests.protocols.smtp.conftest import Listen, Listening


class Client:
    """A client that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def reply(self) -> str:
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 20)
            if line[3:4] != b"-":
                return line.decode().rstrip()

    async def say(self, octets: bytes) -> str:
        self.writer.write(octets)
        return await self.reply()

    async def begin(self, recipient: str = "alice@example.test") -> None:
        """Say everything up to the message."""
        for line in ("EHLO client.test", "MAIL FROM:<a@far.test>", f"RCPT TO:<{recipient}>"):
            assert (await self.say(line.encode() + b"\r\n")).startswith("250")

    async def deliver(self, raw: bytes, recipient: str = "alice@example.test") -> str:
        await self.begin(recipient)
        assert (await self.say(b"DATA\r\n")).startswith("354")
        self.writer.write(raw)
        await self.writer.drain()
        return await self.say(b"\r\n.\r\n")


async def connect(listening: Listening, *, address: str = "127.0.0.1") -> Client:
    return Client(*await asyncio.open_connection(listening.host, listening.port, local_addr=(address, 0)))


async def greeted(listening: Listening) -> Client:
    client = await connect(listening)
    assert (await client.reply()).startswith("220")
    return client


def without_trace(raw: bytes) -> bytes:
    return raw[raw.index(b"Subject:") :]


async def test_a_letter_is_stored_as_it_came(listen: Listen, store: Store, people: People) -> None:
    client = await greeted(await listen())
    raw = b"Subject: all octets\r\n\r\n" + bytes(octet for octet in range(1, 256) if octet not in b"\r\n") + b"\r\n..dot\r\n..\r\n"
    assert (await client.deliver(raw[:-2])).startswith("250")
    (stored,) = inbox(store, 1, people.ids["alice"])
    assert without_trace(stored) == raw.replace(b"\r\n.", b"\r\n")
    trace = stored[: stored.index(b"Subject:")].decode().split("\r\n")
    assert trace[:2] == ["Return-Path: <a@far.test>", "Delivered-To: alice@example.test"]
    assert trace[2] == "Received: from client.test ([127.0.0.1])"
    assert "by mx.example.test with ESMTP id" in trace[3]


async def test_a_letter_does_not_go_on_with_our_own_lines(listen: Listen, store: Store, people: People) -> None:
    client = await greeted(await listen())
    assert (await client.deliver(b"\tand by bank.test, which vouches for it\r\nSubject: x\r\n\r\n")).startswith("250")
    (stored,) = inbox(store, 1, people.ids["alice"])
    assert b"vouches" not in stored.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("size", [1_000, 300_000, 3_000_000])
async def test_large_letters_by_data_and_by_chunks_are_the_same(listen: Listen, store: Store, people: People, size: int) -> None:
    client = await greeted(await listen(spool_threshold=200_000))
    line = bytes(random.Random(size).choices(b"abcdefgh.", k=98)) + b"\r\n"
    raw = b"Subject: large\r\n\r\n" + line * (size // 100)
    assert (await client.deliver(raw.replace(b"\r\n.", b"\r\n..")[:-2])).startswith("250")
    await client.begin("bob@example.test")
    for at in range(0, len(raw), 70_001):
        piece = raw[at : at + 70_001]
        last = b" LAST" if at + 70_001 >= len(raw) else b""
        assert (await client.say(b"BDAT %d%s\r\n" % (len(piece), last) + piece)).startswith("250")
    for name in ("alice", "bob"):
        (stored,) = inbox(store, 1, people.ids[name])
        assert without_trace(stored) == raw


async def test_the_spool_gives_everything_back(listen: Listen) -> None:
    listening = await listen(spool_threshold=1000, memory_for_bodies=1500)
    room = listening.server.room
    clients = [await greeted(listening) for _ in range(4)]
    for client in clients:
        await client.begin()
        assert (await client.say(b"DATA\r\n")).startswith("354")
        client.writer.write(b"Subject: x\r\n\r\n" + b"y" * 700 + b"\r\n")
    async with asyncio.timeout(5):
        while room.memory + room.disk < 4 * 700:
            await asyncio.sleep(0.01)
    assert room.memory <= 1500
    assert room.disk > 0
    assert (await clients[0].say(b".\r\n")).startswith("250")
    for client in clients[1:]:
        client.writer.close()
    async with asyncio.timeout(5):
        while room.memory or room.disk:
            await asyncio.sleep(0.01)


async def test_a_message_grown_too_large_holds_nothing_while_the_rest_comes(listen: Listen) -> None:
    listening = await listen(maximum_message=1000)
    room, client = listening.server.room, await greeted(listening)
    await client.begin()
    assert (await client.say(b"DATA\r\n")).startswith("354")
    client.writer.write(b"y" * 600 + b"\r\n")
    async with asyncio.timeout(5):
        while not room.memory:
            await asyncio.sleep(0.01)
        client.writer.write(b"y" * 600 + b"\r\n")
        while room.memory or room.disk:
            await asyncio.sleep(0.01)
    assert (await client.say(b".\r\n")).startswith("552")


def test_octets_that_come_by_twos_weigh_no_more_than_others() -> None:
    spool = Spool(Room(Settings()), b"")
    tracemalloc.start()
    for _ in range(50_000):
        spool.write(b"".join([b"x", b"y"]))
    weight, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spool.size == 100_000
    assert weight < 3 * spool.size


def test_a_spool_says_when_there_is_no_room() -> None:
    room = Room(Settings(spool_threshold=10, spool_limit=100))
    first, second = Spool(room, b"head"), Spool(room, b"")
    first.write(b"x" * 60)
    with pytest.raises(NoRoom):
        second.write(b"x" * 60)
    assert first.read() == b"head" + b"x" * 60
    first.close()
    second.close()
    assert (room.memory, room.disk) == (0, 0)


async def test_no_room_is_said_and_passes(listen: Listen) -> None:
    client = await greeted(await listen(spool_threshold=10, spool_limit=1000))
    assert (await client.deliver(b"Subject: x\r\n\r\n" + b"y" * 2000)).startswith("452 4.3.1")
    assert (await client.deliver(b"Subject: x\r\n\r\n" + b"y" * 500)).startswith("250")


async def test_groups_and_a_user_addressed_twice_get_one_copy(listen: Listen, store: Store, people: People) -> None:
    client = await greeted(await listen())
    await client.begin("staff@example.test")
    for name in ("alice", "everybody", "ally"):
        assert (await client.say(f"RCPT TO:<{name}@example.test>\r\n".encode())).startswith("250")
    assert (await client.say(b"DATA\r\n")).startswith("354")
    assert (await client.say(b"Subject: one\r\n\r\n.\r\n")).startswith("250")
    assert [len(inbox(store, 1, people.ids[name])) for name in ("alice", "bob", "carol")] == [1, 1, 1]
    assert b"Delivered-To" not in inbox(store, 1, people.ids["bob"])[0]


async def test_two_organizations_in_one_transaction(listen: Listen, store: Store, people: People) -> None:
    from tests.people import add_user

    make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", "other.test")
    client = await greeted(await listen())
    await client.begin()
    assert (await client.say(b"RCPT TO:<nobody@other.test>\r\n")).startswith("550 5.1.1")
    assert (await client.say(b"RCPT TO:<dave@other.test>\r\n")).startswith("250")
    assert (await client.say(b"DATA\r\n")).startswith("354")
    assert (await client.say(b"Subject: both\r\n\r\n.\r\n")).startswith("250")
    assert len(inbox(store, 1, people.ids["alice"])) == 1
    with store.transaction(1, write=False) as tx:
        assert [row[2] for row in rows.page(tx, after=0, limit=9)] == ["dave@other.test"]


def test_a_route_is_remembered_for_a_while() -> None:
    routes = Routes()
    routes.remember("a.test", 7, 100.0)
    assert (routes.find("a.test", 109.0), routes.find("a.test", 111.0), routes.find("b.test", 100.0)) == (7, None, None)
    routes.forget("a.test")
    assert routes.find("a.test", 101.0) is None


async def test_an_organization_deleted_after_rcpt_is_no_refusal_for_the_others(listen: Listen, store: Store, people: People) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", other.default_domain)
    client = await greeted(await listen())
    await client.begin("dave@other.test")
    assert (await client.say(b"RCPT TO:<alice@example.test>\r\n")).startswith("250")
    organizations.delete(store, other, force=True)
    assert (await client.say(b"DATA\r\n")).startswith("354")
    assert (await client.say(b"Subject: x\r\n\r\n.\r\n")).startswith("451 4.3.0")


async def test_pipelined_octet_by_octet(listen: Listen, store: Store, people: People) -> None:
    client = await greeted(await listen())
    octets = b"EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@example.test>\r\nBDAT 14 LAST\r\nSubject: x\r\n\r\nQUIT\r\n"
    for octet in octets:
        client.writer.write(bytes([octet]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert [(await client.reply())[:3] for _ in range(5)] == ["250", "250", "250", "250", "221"]
    assert len(inbox(store, 1, people.ids["alice"])) == 1


async def test_a_client_that_closes_its_half_is_answered(listen: Listen, store: Store, people: People) -> None:
    client = await connect(await listen())
    client.writer.write(b"EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@example.test>\r\nBDAT 14 LAST\r\nSubject: x\r\n\r\n")
    client.writer.write_eof()
    replies = (await asyncio.wait_for(client.reader.read(), 20)).decode()
    assert replies.count("\r\n250 2.") == 3
    assert len(inbox(store, 1, people.ids["alice"])) == 1


async def test_a_client_that_goes_in_the_middle_leaves_nothing(listen: Listen, store: Store, people: People) -> None:
    listening = await listen()
    client = await greeted(listening)
    await client.begin()
    assert (await client.say(b"DATA\r\n")).startswith("354")
    client.writer.write(b"Subject: half\r\n\r\nand then")
    await client.writer.drain()
    client.writer.transport.abort()
    async with asyncio.timeout(5):
        while listening.server.clients:
            await asyncio.sleep(0.01)
    assert inbox(store, 1, people.ids["alice"]) == []
    assert (listening.server.room.memory, listening.server.room.disk) == (0, 0)


async def test_plain_octets_after_starttls_never_reach_the_encrypted_session(listen: Listen, client_tls: ssl.SSLContext) -> None:
    client = await greeted(await listen())
    client.writer.write(b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<smuggled@far.test>\r\n")
    assert (await client.reply()).startswith("250")
    assert (await client.reply()).startswith("220")
    await client.writer.start_tls(client_tls, server_hostname="mx.example.test")
    assert (await client.say(b"RCPT TO:<alice@example.test>\r\n")).startswith("503")
    assert (await client.say(b"EHLO x\r\n")).startswith("250")
    assert (await client.say(b"MAIL FROM:<a@far.test>\r\n")).startswith("250 2.1.0")


async def test_old_tls_is_refused(listen: Listen) -> None:
    listening = await listen(implicit=True)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        await asyncio.open_connection(listening.host, listening.port, ssl=old)


async def test_connections_are_counted(listen: Listen) -> None:
    listening = await listen(maximum_connections=5, connections_per_address=2, trusted_networks=("127.0.0.1/32",))
    kept = [await connect(listening, address="127.0.0.2") for _ in range(2)]
    assert [(await client.reply())[:3] for client in kept] == ["220", "220"]
    assert (await (await connect(listening, address="127.0.0.2")).reply()).startswith("421 4.7.0 Too many connections from your")
    kept += [await connect(listening) for _ in range(3)]
    assert [(await client.reply())[:3] for client in kept[2:]] == ["220"] * 3
    assert (await (await connect(listening)).reply()).startswith("421 4.7.0")
    kept[0].writer.close()
    async with asyncio.timeout(5):
        while len(listening.server.clients) > 4:
            await asyncio.sleep(0.01)
    assert (await (await connect(listening, address="127.0.0.2")).reply()).startswith("220")


def test_an_ipv6_network_counts_as_one() -> None:
    place = Turnstile(Settings()).place
    assert place("2001:db8::1") == place("2001:db8::ffff") == "2001:db8::/64"
    assert place("::ffff:192.0.2.1") == place("192.0.2.1") == "192.0.2.1"
    assert place("127.0.0.1") == place("::1") == place("unknown") == ""


async def test_errors_are_forgotten_after_a_letter(listen: Listen) -> None:
    client = await greeted(await listen(maximum_errors=3, maximum_idle_commands=3))
    for _ in range(3):
        assert (await client.say(b"WHAT\r\n")).startswith("500")
        assert (await client.say(b"WHAT\r\n")).startswith("500")
        assert (await client.say(b"NOOP\r\n")).startswith("250")
        assert (await client.deliver(b"Subject: x\r\n\r\n")).startswith("250")


async def test_who_names_too_many_recipients_still_reaches_the_others(listen: Listen, store: Store, people: People) -> None:
    client = await greeted(await listen(maximum_recipients=5, maximum_errors=2))
    await client.begin()
    for _ in range(4):
        assert (await client.say(b"RCPT TO:<ally@example.test>\r\n")).startswith("250")
    for _ in range(5):
        assert (await client.say(b"RCPT TO:<bob@example.test>\r\n")).startswith("452 4.5.3")
    assert (await client.say(b"DATA\r\n")).startswith("354")
    assert (await client.say(b"Subject: x\r\n\r\n.\r\n")).startswith("250")
    assert len(inbox(store, 1, people.ids["alice"])) == 1


async def test_nobody_names_too_many_recipients_for_ever(listen: Listen) -> None:
    client = await greeted(await listen(maximum_recipients=1, maximum_errors=2))
    await client.begin()
    replies = [await client.say(b"RCPT TO:<bob@example.test>\r\n") for _ in range(4)]
    assert [reply[:3] for reply in [*replies, await client.reply()]] == ["452"] * 4 + ["421"]


async def test_single_octets_do_not_extend_a_deadline(listen: Listen) -> None:
    listening = await listen(command_timeout=0.5, message_timeout=0.7)
    idle, line, message = [await greeted(listening) for _ in range(3)]
    await message.begin()
    assert (await message.say(b"DATA\r\n")).startswith("354")

    async def drip(client: Client) -> str:
        with contextlib.suppress(ConnectionError):
            while not client.reader.at_eof():
                client.writer.write(b"x")
                await client.writer.drain()
                with contextlib.suppress(TimeoutError):
                    return (await asyncio.wait_for(client.reader.readline(), 0.05)).decode()
        return ""

    replies = await asyncio.wait_for(asyncio.gather(idle.reply(), drip(line), drip(message)), 10)
    assert [reply[:9] for reply in replies] == ["421 4.4.2"] * 3


async def test_idle_clients_make_way_when_connections_are_scarce(listen: Listen) -> None:
    listening = await listen(maximum_connections=10, stress_timeout=0.2)
    loris = [await greeted(listening) for _ in range(10)]
    assert (await (await connect(listening)).reply()).startswith("421")
    async with asyncio.timeout(10):
        while len(listening.server.clients) > 8:
            await asyncio.sleep(0.05)
    assert (await (await greeted(listening)).deliver(b"Subject: served\r\n\r\n")).startswith("250")
    for client in loris:
        client.writer.close()


async def test_a_client_that_does_not_read_is_not_answered_for_ever(listen: Listen) -> None:
    listening = await listen(command_timeout=0.5, maximum_idle_commands=10**9)
    client = await connect(listening)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(15):
            while listening.server.clients or client.reader._buffer == b"":  # type: ignore[attr-defined]
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                client.writer.write(b"HELP\r\n" * 1000)
                await client.writer.drain()
    async with asyncio.timeout(10):
        while listening.server.clients:
            await asyncio.sleep(0.05)


async def test_close_lets_a_message_finish_and_says_goodbye(listen: Listen, store: Store, people: People) -> None:
    listening = await listen()
    idle, busy = await greeted(listening), await greeted(listening)
    await busy.begin()
    busy.writer.write(b"BDAT 14 LAST\r\nSubject: x\r\n\r\n")
    async with asyncio.timeout(5):
        while not any(client._busy for client in listening.server.clients):
            await asyncio.sleep(0)
    await listening.server.close(5.0)
    assert (await idle.reply()).startswith("421 4.3.2")
    assert (await busy.reply()).startswith("250 2.0.0")
    assert (await busy.reply()).startswith("421 4.3.2")
    assert len(inbox(store, 1, people.ids["alice"])) == 1


async def test_garbage_of_every_kind_is_bounded(listen: Listen) -> None:
    listening = await listen(maximum_message=1_000_000)
    garbage = random.Random(1).randbytes(1_000_000)
    for opening in (b"", b"EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"):
        client = await greeted(listening)
        client.writer.write(opening)
        await asyncio.sleep(0.1)
        with contextlib.suppress(ConnectionError):
            for _ in range(8):
                client.writer.write(garbage)
                await asyncio.wait_for(client.writer.drain(), 10)
        client.writer.close()
    async with asyncio.timeout(10):
        while listening.server.clients:
            await asyncio.sleep(0.02)
    assert (listening.server.room.memory, listening.server.room.disk) == (0, 0)


async def test_a_users_letter_by_smtplib(listen: Listen, store: Store, people: People, client_tls: ssl.SSLContext) -> None:
    plain, wrapped = await listen("submission"), await listen("submission", implicit=True)
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"], message["Subject"] = "alice@example.test", "bob@example.test", "c@far.test", "hi"
    message.set_content("hello")

    def send() -> None:
        client_tls.check_hostname = False
        with smtplib.SMTP(plain.host, plain.port) as client:
            client.starttls(context=client_tls)
            client.login("alice@example.test", PASSWORD)
            client.sendmail("alice@example.test", ["bob@example.test", "c@far.test"], message.as_bytes(policy=email.policy.SMTP))
        with smtplib.SMTP_SSL(wrapped.host, wrapped.port, context=client_tls) as client:
            client.login("ally@example.test", PASSWORD)
            client.send_message(message)
            client.sendmail("alice@example.test", ["only@far.test"], message.as_bytes(policy=email.policy.SMTP))
        client_tls.check_hostname = True

    await asyncio.to_thread(send)
    first, second = inbox(store, 1, people.ids["bob"])
    assert b"c@far.test" not in first
    assert b"Message-ID: <" in first
    assert b"with ESMTPSA id" in second
    assert b"127.0.0.1" not in second
    with store.transaction(1, write=False) as tx:
        assert [row[2] for row in rows.page(tx, after=0, limit=9)] == ["c@far.test", "c@far.test", "only@far.test"]
    with store.transaction(1) as tx:
        alone = contents.read(tx, rows.behind(tx, 0, 9)[2][10])
    assert b"for <only@far.test>" in alone
    assert b"Delivered-To" not in alone  # the next server would take it for a loop


async def test_the_days_recipients_are_limited(listen: Listen, people: People, client_tls: ssl.SSLContext) -> None:
    listening = await listen("submission", implicit=True, terms=Terms(Allowance(external=1)))

    def send() -> tuple[int, bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP_SSL(listening.host, listening.port, context=context) as client:
            client.login("alice@example.test", PASSWORD)
            try:
                client.sendmail("alice@example.test", ["a@far.test", "b@far.test"], "From: alice@example.test\r\n\r\n")
            except smtplib.SMTPDataError as error:
                return error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else error.smtp_error.encode()
        return 0, b""

    code, text = await asyncio.to_thread(send)
    assert (code, text[:5]) == (452, b"4.7.1")


needs_swaks = pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")


async def swaks(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "swaks", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode()


@needs_swaks
@pytest.mark.parametrize("options", [(), ("--tls",), ("--pipeline",), ("--protocol", "SMTP")])
async def test_swaks_delivers(listen: Listen, store: Store, people: People, options: tuple[str, ...]) -> None:
    listening = await listen()
    code, output = await swaks("-s", f"{listening.host}:{listening.port}", "-f", "a@far.test", "-t", "alice@example.test", *options)
    assert code == 0, output
    assert len(inbox(store, 1, people.ids["alice"])) == 1


@needs_swaks
@pytest.mark.parametrize("options", [("--tls", "--auth", "PLAIN"), ("--tls", "--auth", "LOGIN"), ("--tls-on-connect", "--auth", "PLAIN")])
async def test_swaks_submits(listen: Listen, store: Store, people: People, options: tuple[str, ...]) -> None:
    listening = await listen("submission", implicit="--tls-on-connect" in options)
    server = f"{listening.host}:{listening.port}"
    who = ("-au", "alice@example.test", "-ap", PASSWORD, "-f", "alice@example.test", "-t", "bob@example.test")
    code, output = await swaks("-s", server, *who, *options)
    assert code == 0, output
    assert len(inbox(store, 1, people.ids["bob"])) == 1
    code, output = await swaks("-s", server, *who, *options, "--header", "From: bob@example.test")
    assert code == 26, output
    assert "550 5.7.1" in output
