"""Several sessions on one folder: whatever happens, each client can work out what is there from what it was told."""

import asyncio
import random
import re

import pytest

from postroom.protocols.imap import updates
from tests.protocols.imap.conftest import ALICE, Client, Running

LETTER = b"Subject: x\r\n\r\nhello\r\n"


class Mirror:
    """What a client believes about the folder, from untagged answers alone."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, frozenset[bytes]] | None] = []

    def hear(self, line: bytes) -> None:
        if found := re.fullmatch(rb"\* (\d+) EXISTS", line):
            assert int(found[1]) >= len(self.messages)
            self.messages += [None] * (int(found[1]) - len(self.messages))
        elif found := re.fullmatch(rb"\* (\d+) EXPUNGE", line):
            del self.messages[int(found[1]) - 1]
        elif found := re.fullmatch(rb"\* (\d+) FETCH \(UID (\d+) FLAGS \((.*)\)\)", line):
            flags = frozenset(found[3].split()) - {b"\\Recent"}
            at = int(found[1]) - 1
            known = self.messages[at]
            assert known is None or known[0] == int(found[2])
            self.messages[at] = (int(found[2]), flags)


async def work(client: Client, mirror: Mirror, seed: int, turns: int) -> None:
    choice = random.Random(seed)
    for _ in range(turns):
        number = choice.randint(1, max(1, len(mirror.messages)))
        command = choice.choice(
            [
                b"APPEND INBOX {%d+}\r\n" % len(LETTER) + LETTER,
                b"UID STORE %d:* +FLAGS (\\Flagged)" % number,
                b"UID STORE %d -FLAGS (\\Flagged blue)" % number,
                b"UID STORE %d FLAGS (blue \\Deleted)" % number,
                b"EXPUNGE",
                b"NOOP",
                b"UID SEARCH ALL",
                b"UID MOVE %d INBOX" % number,
                b"UID FETCH 1:* (UID FLAGS)",
            ]
        )
        for line in await client.command(command):
            mirror.hear(line)


@pytest.mark.parametrize("little", [updates.LITTLE, 0])
@pytest.mark.parametrize("seed", range(3))
async def test_all_sessions_agree_in_the_end(server: Running, seed: int, little: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "LITTLE", little)
    clients = [await server.connect(ALICE, "INBOX") for _ in range(3)]
    watcher, seen = await server.connect(ALICE, "INBOX"), Mirror()
    await watcher.send(b"w IDLE\r\n")
    assert await watcher.line() == b"+ idling"
    mirrors = [Mirror() for _ in clients]
    await asyncio.gather(
        *(work(client, mirror, seed * 10 + at, 40) for at, (client, mirror) in enumerate(zip(clients, mirrors, strict=True)))
    )
    await watcher.send(b"DONE\r\n")
    for line in await watcher.until(b"w OK"):
        seen.hear(line)
    for client, mirror in zip([*clients, watcher], [*mirrors, seen], strict=True):
        for line in await client.command(b"NOOP"):
            mirror.hear(line)
    fresh = await server.connect(ALICE)
    truth = Mirror()
    for line in await fresh.ok(b"SELECT INBOX") + await fresh.ok(b"FETCH 1:* (UID FLAGS)"):
        truth.hear(line)
    for mirror in [*mirrors, seen]:
        assert len(mirror.messages) == len(truth.messages)
        assert all(mine is None or mine == true for mine, true in zip(mirror.messages, truth.messages, strict=True))


async def test_one_command_of_another_is_seen_by_the_next_of_ones_own(server: Running) -> None:
    one, other = await server.connect(ALICE, "INBOX"), await server.connect(ALICE, "INBOX")
    for count in range(1, 30):
        await one.ok(b"APPEND INBOX {%d+}\r\n" % len(LETTER) + LETTER)
        assert b"* %d EXISTS" % count in await other.ok(b"NOOP")


async def test_recent_is_told_to_one_session_only(server: Running) -> None:
    one, other = await server.connect(ALICE, "INBOX"), await server.connect(ALICE, "INBOX")
    for _ in range(10):
        await one.ok(b"APPEND INBOX {%d+}\r\n" % len(LETTER) + LETTER)
        await other.ok(b"NOOP")
    mine, others = [{line.split()[1] for line in await client.ok(b"FETCH 1:* FLAGS") if b"\\Recent" in line} for client in (one, other)]
    assert not mine & others
    assert len(mine | others) == 10
