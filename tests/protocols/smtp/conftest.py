"""A listening SMTP server of each kind, over a populated organization."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
import trustme

from postroom.mailflow.filters.filters import Filters
from postroom.mailflow.filters.settings import Settings as FilterSettings
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.mailflow.screening import Screening
from postroom.model.organizations import Organization
from postroom.policy.authenticator import Authenticator
from postroom.protocols.smtp.server import Settings, SmtpServer
from postroom.storage.engine import Store
from tests.people import People, populate


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("mx.example.test", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def people(store: Store, organization: Organization) -> People:
    return populate(store, organization)


class Listening:
    """A server and where it listens."""

    def __init__(self, server: SmtpServer, host: str, port: int) -> None:
        self.server, self.host, self.port = server, host, port


Listen = Callable[..., Awaitable[Listening]]


@pytest_asyncio.fixture
async def listen(store: Store, people: People, server_tls: ssl.SSLContext) -> AsyncIterator[Listen]:
    """Start servers: `await listen(role, tls=True, implicit=False, settings={...}, terms=USUAL)`."""
    async with AsyncExitStack() as stack:

        async def start(role: str = "mx", *, tls: bool = True, implicit: bool = False, terms: Terms = USUAL, **settings: Any) -> Listening:
            server = SmtpServer(
                role,
                store=store,
                authenticator=Authenticator(store),
                settings=Settings(**{"hostname": "mx.example.test", **settings}),
                tls=server_tls if tls else None,
                terms=terms,
                screening=Screening(Filters(FilterSettings(headers=False))),  # letters here are short
            )
            loop = asyncio.get_running_loop()
            listener = await loop.create_server(
                lambda: server.connection(implicit_tls=implicit), "127.0.0.1", 0, ssl=server_tls if implicit else None
            )
            stack.push_async_callback(server.close, 1.0)
            stack.callback(listener.close)
            host, port = listener.sockets[0].getsockname()[:2]
            return Listening(server, host, port)

        yield start
