r"""The dialogues of tests/golden/imap, held with a real server.

`C:` is sent, `S:` is read and must match, where `*` stands for anything but the one an untagged line starts with. `C2:` and `S2:` are a
second connection, opened when first used. `{letter}` sends one of the messages below as a literal that does not wait, `{letter!}` as one that
does. Every dialogue starts before signing in; `LOGIN alice` and `LOGIN bob` are spelled out. `# grant: alice bob FULL_ACCESS` lets bob do that with
alice's mailbox.
"""

import re
from pathlib import Path

import pytest

from postroom.policy import permissions
from postroom.policy.permissions import Permission
from tests.protocols.imap.conftest import ALICE, BOB, PASSWORD, Client, Running

FOLDER = Path(__file__).parents[2] / "golden" / "imap"
MESSAGES = {
    "letter": b"From: Ann <ann@far.test>\r\nTo: alice@example.test\r\nSubject: Tea\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
    b"Message-ID: <tea@far.test>\r\n\r\nShall we have tea?\r\n",
    "report": b"From: Bert <bert@far.test>\r\nTo: alice@example.test\r\nCc: carol@far.test\r\nSubject: =?utf-8?q?Z=C3=BCrich?= report\r\n"
    b"Date: Tue, 1 Mar 1994 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nFigures enclosed.\r\n--b\r\nContent-Type: text/csv; name=f.csv\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nMSwyLDMNCg==\r\n--b--\r\n",
}
DIALOGUES = {path.stem: path.read_text().splitlines() for path in sorted(FOLDER.glob("*.txt"))}


def matches(pattern: str, line: str) -> bool:
    head, rest = ("* ", pattern[2:]) if pattern.startswith("* ") else ("", pattern)
    return re.fullmatch(re.escape(head) + ".*".join(re.escape(part) for part in rest.split("*")), line, re.DOTALL) is not None


async def say(client: Client, text: str) -> None:
    for name, email in (("alice", ALICE), ("bob", BOB)):
        text = re.sub(rf"LOGIN {name}$", f'LOGIN {email} "{PASSWORD}"', text)
    found = re.search(r"\{([a-z]+)(!?)\}", text)
    if found is None:
        await client.send(text.encode() + b"\r\n")
        return
    message = MESSAGES[found[1]]
    head = text[: found.start()].encode()
    if found[2]:
        await client.send(head + b"{%d}\r\n" % len(message))
        assert (await client.line()).startswith(b"+ ")
    else:
        head += b"{%d+}\r\n" % len(message)
        await client.send(head)
    await client.send(message + text[found.end() :].encode() + b"\r\n")


def test_there_are_dialogues() -> None:
    assert len(DIALOGUES) >= 20


@pytest.mark.parametrize("name", DIALOGUES)
async def test_dialogue(name: str, server: Running) -> None:
    for text in DIALOGUES[name]:
        if text.startswith("# grant: "):
            owner, grantee, *values = text.removeprefix("# grant: ").split()
            with server.imap.store.transaction(1) as tx:
                permissions.put(tx, owner, grantee, {Permission(value) for value in values})
    clients: dict[str, Client] = {}
    for number, text in enumerate(DIALOGUES[name], 1):
        if not text.strip() or text.startswith("#"):
            continue
        side, _, words = text.partition(": ")
        who = side[1:]
        if who not in clients:
            clients[who] = await server.connect()
        if side.startswith("C"):
            await say(clients[who], words)
            continue
        line = (await clients[who].line()).decode()
        assert matches(words, line), f"{name}.txt:{number}\n  expected {words}\n  received {line}"
