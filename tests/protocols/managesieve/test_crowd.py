"""How many connections ManageSieve takes, from one address and in all; real sockets."""

import asyncio

import pytest

from postroom.policy.authenticator import Authenticator
from postroom.protocols.managesieve.server import ManageSieveServer
from postroom.protocols.managesieve.settings import Settings
from postroom.storage.engine import Store


@pytest.mark.parametrize(
    ("settings", "from_home", "from_abroad"),
    [
        (Settings(connections_per_address=2, trusted_networks=("127.0.0.2/32",)), [True, True, True], [True, True, False]),
        (Settings(maximum_connections=4, trusted_networks=()), [True, True, True], [True, False, False]),
    ],
)
async def test_so_many_from_one_address_and_so_many_in_all(
    store: Store, settings: Settings, from_home: list[bool], from_abroad: list[bool]
) -> None:
    server = ManageSieveServer(store=store, authenticator=Authenticator(store), settings=settings)
    listener = await asyncio.get_running_loop().create_server(lambda: server.connection(implicit_tls=False), "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]

    async def welcome(address: str) -> tuple[bool, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host, port, local_addr=(address, 0))
        return (await asyncio.wait_for(reader.readline(), 20)).startswith(b'"IMPLEMENTATION"'), writer

    try:
        taken = [await welcome("127.0.0.2") for _ in range(3)] + [await welcome("127.0.0.3") for _ in range(3)]
        assert [ok for ok, _ in taken] == from_home + from_abroad
        taken[3][1].close()
        async with asyncio.timeout(20):
            while len(server.fronts) == sum(from_home + from_abroad):
                await asyncio.sleep(0.01)
        assert (await welcome("127.0.0.3"))[0]
    finally:
        listener.close()
        await server.close(1.0)
