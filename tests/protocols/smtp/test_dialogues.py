"""Every dialogue of tests/golden/smtp, spoken over a real socket.

`C:` a line of the client, `R:` its raw octets with Python escapes, `S:` a line of the server (`*` stands for anything),
`S: ...` any further lines of the same reply, `TLS` a handshake, `END` the server has hung up. `# role:` picks the port,
`# set:` settings as JSON, `# grant: bob alice SEND_AS` lets alice send as bob.
"""

import asyncio
import fnmatch
import json
import re
import ssl
from pathlib import Path

import pytest

from postroom.policy import permissions
from postroom.policy.permissions import Permission
from postroom.storage.engine import Store
from tests.protocols.smtp.conftest import Listen

FOLDER = Path(__file__).parents[2] / "golden" / "smtp"
DIALOGUES = sorted(FOLDER.glob("*.txt"))


class Speaker:
    """The client's side of one dialogue."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext) -> None:
        self.reader, self.writer, self.tls = reader, writer, tls
        self.line = b""

    async def speak(self, step: str) -> None:
        kind, _, text = step.partition(": ")
        if kind == "C":
            self.writer.write(text.encode() + b"\r\n")
        elif kind == "R":
            self.writer.write(text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1"))
        elif step == "S: ...":
            while self.line[3:4] == b"-":
                self.line = await self.read()
        elif kind == "S":
            self.line = await self.read()
            expected = re.sub(r"\[", "[[]", text)
            assert fnmatch.fnmatchcase(self.line.decode().rstrip("\r\n"), expected), f"{self.line!r} is not {text!r}"
        elif step == "TLS":
            await self.writer.start_tls(self.tls, server_hostname="mx.example.test")
        elif step == "END":
            assert await self.read() == b""
        else:
            raise AssertionError(f"what is {step!r}?")

    async def read(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), 10)


def test_there_are_dialogues() -> None:
    assert len(DIALOGUES) >= 25


@pytest.mark.parametrize(
    ("name", "lines"), [(path.name, path.read_text().splitlines()) for path in DIALOGUES], ids=[path.stem for path in DIALOGUES]
)
async def test_dialogue(name: str, lines: list[str], listen: Listen, client_tls: ssl.SSLContext, store: Store) -> None:
    facts = dict(line[2:].split(": ", 1) for line in lines if re.match(r"# (role|set): ", line))
    role = facts.get("role", "mx")
    grants = [line.removeprefix("# grant: ").split() for line in lines if line.startswith("# grant: ")]
    with store.transaction(1) as tx:
        for owner, grantee, value in grants:
            permissions.put(tx, owner, grantee, {Permission(value)})
    listening = await listen(role.split()[0], implicit=role.endswith("tls"), **json.loads(facts.get("set", "{}")))
    reader, writer = await asyncio.open_connection(
        listening.host,
        listening.port,
        ssl=client_tls if role.endswith("tls") else None,
        server_hostname="mx.example.test" if role.endswith("tls") else None,
    )
    speaker = Speaker(reader, writer, client_tls)
    try:
        for number, step in enumerate(lines, 1):
            if step and not step.startswith("#"):
                try:
                    await speaker.speak(step)
                except AssertionError as error:
                    raise AssertionError(f"{name}:{number}: {error}") from None
    finally:
        writer.close()
