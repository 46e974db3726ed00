"""Commands nobody would send, in every state: each gets its answer, nothing crashes, nothing hangs, nothing stays behind.

The budget is fixed by `ROUNDS`; `POSTROOM_FUZZ` multiplies it and `POSTROOM_FUZZ_SEED` chooses other rounds.
"""

import asyncio
import os
import random
from collections.abc import Sequence

import pytest
import structlog

from postroom.protocols.imap.connection import Connection, Limits, Order, Refusal
from postroom.protocols.imap.literals import Allowance, Room
from tests.protocols.imap.conftest import ALICE, Client, Running, Start, server, start

__all__ = ["server", "start"]

SCALE = int(os.environ.get("POSTROOM_FUZZ", "1"))
SEED = int(os.environ.get("POSTROOM_FUZZ_SEED", "1"))
ROUNDS = 400 * SCALE
PARSED = 20_000 * SCALE

VERBS = (
    b"CAPABILITY NOOP ID ENABLE SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST LSUB STATUS APPEND NAMESPACE GETQUOTA"
    b" GETQUOTAROOT SETQUOTA CHECK CLOSE UNSELECT EXPUNGE SEARCH FETCH STORE COPY MOVE LOGIN AUTHENTICATE STARTTLS"
).split()
WORDS = [
    *b"INBOX inbox/x a/b Drafts nowhere &AOk- R&- * % *:* 1 2:3 1:* 4294967295 0 (FLAGS) FLAGS UID ENVELOPE BODY[] BODY.PEEK[1.2.TEXT] ALL".split(),
    *b"BODY[HEADER.FIELDS (A B)]<0.5>|BODYSTRUCTURE|MODSEQ|(\\Seen $x)|+FLAGS|-FLAGS.SILENT|(\\Deleted)|CHARSET|UTF-8|OR|NOT|SINCE".split(b"|"),
    *b"1-Jan-2000|SUBJECT|\"a b\"|\"\"|NIL|(|)|((|\"|\\|{3+}\r\nabc|{0+}\r\n|{2+}\r\n\xff\x00|RETURN (COUNT ALL)|RETURN|(STATUS (MESSAGES))".split(b"|"),
    *b"(MESSAGES RECENT UIDNEXT HIGHESTMODSEQ)|(CONDSTORE)|(CHANGEDSINCE 1)|(UNCHANGEDSINCE 1)|\xc3\xbc|\xff|\x00|\t|HEADER|KEYWORD x|LARGER".split(b"|"),
    b" ",
    b"x" * 300,
    b"(" * 80,
    b"1," * 200 + b"1",
]  # fmt: skip


def sentence(choice: random.Random) -> bytes:
    """A command that starts well."""
    verb = choice.choice(VERBS)
    if choice.random() < 0.3:
        verb = b"UID " + verb
    return b" ".join([verb, *choice.choices(WORDS, k=choice.randint(0, 6))])


def mangled(choice: random.Random, text: bytes) -> bytes:
    """The same with some bytes changed, lost or doubled."""
    data = bytearray(text)
    for _ in range(choice.randint(1, 4)):
        at = choice.randrange(len(data) + 1)
        data[at : at + choice.randint(0, 3)] = choice.choice([b"", bytes([choice.randrange(256)]), data[at : at + 5] * 2])
    return bytes(data)


def test_the_grammar_takes_everything() -> None:
    choice = random.Random(SEED)
    room = Room(Allowance(1 << 20), Allowance(0), lambda: pytest.fail("nothing is large here"))
    heard = 0
    for _ in range(PARSED):
        wire = Connection(Limits(line=4000, literal=1000, command=8000), room)
        text = b"f " + sentence(choice)
        wire.receive(mangled(choice, text) if choice.random() < 0.5 else text)
        wire.receive(b"\r\n")
        while (event := wire.next_event()) is not None:
            heard += isinstance(event, Order | Refusal)
        wire.close()
    assert room.memory.left == 1 << 20
    assert heard > PARSED / 2


def in_one_line(text: bytes) -> bool:
    """Whether a command cannot swallow the next one as a literal or a line of its own."""
    rest = text
    for literal in (b"{3+}\r\nabc", b"{0+}\r\n", b"{2+}\r\n\xff\x00"):
        rest = rest.replace(literal, b"")
    return not any(byte in rest for byte in (b"\r", b"\n", b"{"))


async def asked(client: Client, tag: bytes, text: bytes) -> Sequence[bytes]:
    """Give a command and NOOP after it; the NOOP must be answered, whatever became of the command."""
    await client.send(tag + b" " + text + b"\r\n" + tag + b"end NOOP\r\n")
    found = []
    while True:
        line = await client.line()
        if line.startswith((tag + b"end ", b"* BYE")) or (not line and client.reader.at_eof()):
            return found
        found.append(line)
        if line.startswith(b"+ "):
            await client.send(b"*\r\n")


@pytest.mark.parametrize("state", ["stranger", "signed in", "selected"])
async def test_every_command_is_answered(start: Start, state: str) -> None:
    running: Running = await start(maximum_errors=1_000_000, maximum_sign_ins=1_000_000)
    choice = random.Random(SEED * 3 + len(state))

    async def connect() -> Client:
        client = await running.connect("" if state == "stranger" else ALICE)
        if state == "selected":
            await client.ok(b"APPEND INBOX {13+}\r\nSubject: x\r\n\n")
            await client.ok(b"SELECT INBOX")
        return client

    client = await connect()
    with structlog.testing.capture_logs() as logs:
        for turn in range(ROUNDS):
            text = sentence(choice)
            if choice.random() < 0.3 and not in_one_line(text := mangled(choice, text)):
                continue
            tag = b"z%d" % turn
            answered = await asked(client, tag, text)
            assert not any(b"SERVERBUG" in line for line in answered), (text, answered, logs)
            if client.reader.at_eof():
                client = await connect()
            elif state == "selected" and choice.random() < 0.2:
                await client.command(b"SELECT INBOX")
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    other = await running.connect(ALICE, "INBOX")
    await other.ok(b"NOOP")


async def test_noise_is_refused(start: Start) -> None:
    running = await start()
    choice = random.Random(SEED)
    for _ in range(20 * SCALE):
        client = await running.connect()
        try:
            await client.send(choice.randbytes(choice.randint(1, 100_000)) + b"\r\n" * 30)
            await client.ended()
        except ConnectionError:
            continue
    async with asyncio.timeout(20):
        while running.imap.fronts or running.imap.tasks:
            await asyncio.sleep(0.01)
    assert running.imap.room.memory.left == running.imap.settings.memory_for_literals
