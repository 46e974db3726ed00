"""A real server on a free port, two users, and clients that read line by line."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache

import pytest

from postroom.directory import registration, users
from postroom.model.organizations import Organization
from postroom.policy import passwords
from postroom.policy.authenticator import Authenticator
from postroom.protocols.imap.server import ImapServer
from postroom.protocols.imap.settings import Settings
from postroom.storage.engine import Store

PASSWORD = "correct horse"
ALICE = "alice@example.test"
BOB = "bob@example.test"
PATIENCE = 20.0


@lru_cache
def password_hash() -> str:
    """The hash of everybody's password, made once."""
    return passwords.hash(PASSWORD)


def add_user(store: Store, organization: Organization, email: str) -> str:
    """Add a user with a mailbox; gives its id."""
    name = email.partition("@")[0]
    with store.transaction(organization.number) as tx:
        user = users.create(tx, name=name, display_name=name.title(), password_hash=password_hash())
        registration.register(tx, user.id, email)
    return user.id


@dataclass
class Client:
    """One connection, seen from outside."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    count: int = 0
    lines: list[bytes] = field(default_factory=list)

    async def line(self) -> bytes:
        """Read a line without its end; empty at the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readline()).rstrip(b"\r\n")

    async def send(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def command(self, text: bytes) -> list[bytes]:
        """Give a command; read to its tagged line, which comes last."""
        self.count += 1
        tag = b"t%d" % self.count
        await self.send(tag + b" " + text + b"\r\n")
        return await self.until(tag + b" ")

    async def until(self, start: bytes) -> list[bytes]:
        """Read lines up to one that starts so."""
        found = []
        while True:
            line = await self.line()
            found.append(line)
            if line.startswith(start):
                return found
            assert line or not self.reader.at_eof(), f"the connection ended: {found}"

    async def ok(self, text: bytes) -> list[bytes]:
        """Give a command that has to succeed; gives the untagged lines."""
        *untagged, tagged = await self.command(text)
        assert b" OK " in tagged, (text, tagged)
        return untagged

    async def ended(self) -> bool:
        """Wait for the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            while await self.reader.read(65536):
                pass
        return True

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


Connect = Callable[..., Awaitable[Client]]


@dataclass
class Running:
    """A server and where it listens."""

    imap: ImapServer
    host: str
    port: int
    clients: list[Client]

    async def connect(self, email: str = "", select: str = "") -> Client:
        """Connect; sign in and select a folder if asked to."""
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        client = Client(reader, writer)
        self.clients.append(client)
        assert (await client.line()).startswith(b"* OK [CAPABILITY ")
        if email:
            await client.ok(f'LOGIN {email} "{PASSWORD}"'.encode())
        if select:
            await client.ok(f'SELECT "{select}"'.encode())
        return client


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(store: Store, organization: Organization) -> AsyncIterator[Start]:
    """Start servers with settings of one's own; takes passwords in clear unless told otherwise."""
    for email in (ALICE, BOB):
        add_user(store, organization, email)
    running: list[tuple[Running, asyncio.Server]] = []

    async def begin(**settings: object) -> Running:
        tls = settings.pop("tls", None)
        chosen = Settings(**{"clear_sign_in": True, **settings})  # type: ignore[arg-type]
        imap = ImapServer(store=store, authenticator=Authenticator(store), settings=chosen, tls=tls)  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: imap.connection(implicit_tls=False), "127.0.0.1", 0)
        host, port = listener.sockets[0].getsockname()
        running.append((Running(imap, host, port, []), listener))
        return running[-1][0]

    yield begin
    for server, listener in running:
        for client in server.clients:
            client.close()
        listener.close()
        await server.imap.close(5.0)
    await asyncio.sleep(0)


@pytest.fixture
async def server(start: Start) -> Running:
    """A server with the usual settings."""
    return await start()
