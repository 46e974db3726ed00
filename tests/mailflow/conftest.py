"""People to write to, a carrier with a name server of its own, and servers elsewhere that keep what they get."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP

from postroom.directory import dkim, domains
from postroom.directory.dkim import Key
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.resolver import Resolver
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from tests.dns import NameServer, name_server
from tests.mailflow.scripted import Answer, Scripted
from tests.people import People, populate
from tests.ports import free_port


@cache
def first_key() -> Key:
    """A DKIM key, made once: that takes a tenth of a second."""
    return dkim.make(["first"])[0]


@pytest.fixture
def people(store: Store, organization: Organization) -> People:
    """The small organization, whose domain has a key to sign with already."""
    with store.transaction(organization.number) as tx:
        domain = domains.get(tx, organization.default_domain)
        dkim.keep(tx, domain, [replace(first_key(), selector=domain.dkim_tokens[0])])
    return populate(store, organization)


@dataclass
class Elsewhere:
    """Somebody else's server: what it got, and what it is to answer at each step (`MAIL`, `RCPT`, `DATA`)."""

    answers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    connections: int = 0
    host: str = "127.0.0.1"
    port: int = 0

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> list[str]:
        session.host_name = hostname
        return [line for line in responses if line[4:].split()[0] not in self.answers.get("without", "").split()]

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        answer = self.answers.get(address, self.answers.get("RCPT", "250 OK"))
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.answers.get("DATA", "250 OK")
        if answer == "hang up":
            server.transport.abort()
        if answer.startswith("250"):
            self.got.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        return answer


OpenElsewhere = Callable[..., Awaitable[Elsewhere]]


@pytest_asyncio.fixture
async def open_elsewhere() -> AsyncIterator[OpenElsewhere]:
    """Start servers: `await open_elsewhere(host="127.0.0.2", port=0, tls=context)`."""
    async with AsyncExitStack() as stack:

        async def start(*, host: str = "127.0.0.1", port: int = 0, **values: Any) -> Elsewhere:
            place = Elsewhere()

            def make() -> SMTP:
                place.connections += 1
                return SMTP(place, hostname=values.get("name", "elsewhere.test"), **{"enable_SMTPUTF8": True, **values.get("smtp", {})})

            listener = await asyncio.get_running_loop().create_server(make, host, port or free_port(host))
            stack.callback(listener.close)
            place.host, place.port = listener.sockets[0].getsockname()[:2]
            return place

        yield start


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[tuple[NameServer, Resolver]]:
    """A name server and a resolver that asks it."""
    async with name_server() as (server, where):
        yield server, Resolver([where], lifetime=2.0)


MakeCarrier = Callable[..., Carrier]


@pytest_asyncio.fixture
async def make_carrier(store: Store, dns: tuple[NameServer, Resolver]) -> AsyncIterator[MakeCarrier]:
    """Make carriers: `make_carrier(port=...)`."""
    made: list[Carrier] = []

    def make(**settings: Any) -> Carrier:
        carrier = Carrier(store, dns[1], Settings(**{"hostname": "mx.example.test", **settings}))
        made.append(carrier)
        return carrier

    yield make
    for carrier in made:
        await carrier.close(0.5)


OpenScripted = Callable[..., Awaitable[Scripted]]


@pytest_asyncio.fixture
async def open_scripted() -> AsyncIterator[OpenScripted]:
    """Start servers: `await open_scripted(host="127.0.0.2", port=0, RCPT=b"550 No\\r\\n")`."""
    async with AsyncExitStack() as stack:

        async def start(*, host: str = "127.0.0.1", port: int = 0, **answers: Answer) -> Scripted:
            place = Scripted(**answers)
            listener = await asyncio.start_server(place.serve, host, port or free_port(host), limit=2**25)
            stack.callback(listener.close)
            place.port = listener.sockets[0].getsockname()[1]
            return place

        yield start


@pytest_asyncio.fixture
async def run(make_carrier: MakeCarrier) -> AsyncIterator[Callable[..., Carrier]]:
    """Start carriers that run until the test ends."""
    async with AsyncExitStack() as stack:

        def start(**settings: object) -> Carrier:
            carrier = make_carrier(**settings)
            running = asyncio.create_task(carrier.run())
            stack.push_async_callback(asyncio.wait_for, running, 10)
            stack.push_async_callback(carrier.close, 0.1)
            return carrier

        yield start
