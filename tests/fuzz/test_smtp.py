"""No octets make the SMTP server raise, hang, hold on to anything or store a line that does not end with CRLF; a fixed budget."""

import asyncio
import contextlib
import random
import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.model.organizations import Organization
from postroom.policy.authenticator import Authenticator
from postroom.protocols.smtp.connection import BadLine, Connection, Content, End, Line, Smuggling
from postroom.protocols.smtp.grammar import BadCommand, Reply, parse
from postroom.protocols.smtp.server import Settings, SmtpServer
from postroom.storage.engine import Store
from tests.people import inbox, populate

SESSIONS = 150
WORDS = [
    b"EHLO x", b"HELO", b"MAIL FROM:<>", b"MAIL FROM:<a@far.test>", b"MAIL FROM:", b"RCPT TO:<alice@example.test>", b"RCPT TO:<staff@example.test>",
    b"RCPT TO:<x@y>", b"RCPT TO:", b"DATA", b"BDAT 5", b"BDAT 5 LAST", b"BDAT 0 LAST", b"BDAT", b"RSET", b"NOOP", b"VRFY", b"HELP", b"QUIT", b"STARTTLS",
    b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH PLAIN =", b"*", b"AGFAYgBj", b" SIZE=", b" BODY=8BITMIME", b" SMTPUTF8", b"Subject: x", b"From: ", b"Received: x", b"hello",
    b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b".", b"..", b"\r\n.\r\n", b"\r\n.\r\n", b"\n.\n", b"\0", b"\xff\xfe", "ü".encode(), b" ", b"\t", b"<", b">", b'"',
    b"\\", b"@", b"[", b"]", b"x" * 500, b"9" * 30,
]  # fmt: skip
OPENINGS = [
    b"",
    b"EHLO x\r\n",
    b"EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@example.test>\r\n",
    b"EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n",
    b"EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@example.test>\r\nBDAT 30\r\n",
]


def refusal(line: bytes) -> Reply | None:
    try:
        parse(line)
    except BadCommand as bad:
        return bad.reply
    return None


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(WORDS), max_size=8).map(b"".join)))
@settings(max_examples=500, deadline=None)
def test_a_line_is_a_command_or_a_refusal(line: bytes) -> None:
    reply = refusal(line)
    if reply is not None:
        assert 500 <= reply.code < 600
        assert reply.render().endswith(b"\r\n")
        assert reply.render().count(b"\n") == 1


@given(st.lists(st.sampled_from(WORDS), max_size=60), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_framing_never_raises_and_always_moves(words: list[bytes], seed: int) -> None:
    dice = random.Random(seed)
    connection = Connection()
    octets = b"".join(words)
    given_out = 0
    for at in range(0, len(octets), 17):
        connection.receive(octets[at : at + 17])
        while (event := connection.next()) is not None:
            assert isinstance(event, Line | BadLine | Content | End | Smuggling)
            given_out += 1
            assert given_out <= 3 * len(octets) + 3
            if isinstance(event, Line | End) and dice.random() < 0.3:
                connection.expect_content()
            elif isinstance(event, Line | End) and dice.random() < 0.3:
                connection.expect_chunk(dice.randint(0, 40), fresh=dice.random() < 0.5)


async def session(port: int, dice: random.Random) -> bytes:
    """Send one opening and a heap of words in random pieces; give all that was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = b""
    opening = dice.choice(OPENINGS)
    octets = b"".join(dice.choices(WORDS, k=dice.randint(1, 60)))
    with contextlib.suppress(ConnectionError):
        writer.write(opening)
        await writer.drain()
        if opening.endswith(b"DATA\r\n"):
            while b"354 " not in answered:
                answered += await asyncio.wait_for(reader.read(4096), 10)
        while octets:
            size = dice.choice([1, 3, 20, 1000])
            writer.write(octets[:size])
            octets = octets[size:]
            await writer.drain()
            if dice.random() < 0.2:
                await asyncio.sleep(0)
        writer.write_eof()
        while piece := await asyncio.wait_for(reader.read(65536), 20):
            answered += piece
    writer.close()
    return answered


async def test_whole_sessions(store: Store, organization: Organization) -> None:
    people = populate(store, organization)
    server = SmtpServer("mx", store=store, authenticator=Authenticator(store), settings=Settings(hostname="mx.example.test"))
    listener = await asyncio.get_running_loop().create_server(lambda: server.connection(implicit_tls=False), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    dice = random.Random(20)
    began = time.monotonic()
    for _ in range(SESSIONS // 10):
        for answered in await asyncio.gather(*(session(port, random.Random(dice.random())) for _ in range(10))):
            assert answered.startswith(b"220 ")
            assert b"Internal error" not in answered
            assert all(re.fullmatch(rb"[2345]\d\d[ -][^\r\n]*", line) for line in answered.split(b"\r\n")[:-1])
    assert time.monotonic() - began < 120
    async with asyncio.timeout(10):
        while server.clients:
            await asyncio.sleep(0.02)
    assert (server.room.memory, server.room.disk) == (0, 0)
    letters = inbox(store, 1, people.ids["alice"])
    assert all(b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"") for raw in letters)
    listener.close()
    await server.close(1.0)
