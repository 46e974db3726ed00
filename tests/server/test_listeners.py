import asyncio
import socket

import pytest

from postroom.server import endpoints, listeners
from postroom.server.endpoints import Endpoint
from postroom.server.listeners import Door, PortTaken


class Echo:
    """A server that says what it is."""

    def connection(self, *, implicit_tls: bool) -> asyncio.Protocol:
        class Said(asyncio.Protocol):
            def connection_made(self, transport):
                transport.write(b"tls" if implicit_tls else b"plain")
                transport.close()

        return Said()

    async def close(self, grace: float) -> None: ...


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:25", Endpoint("127.0.0.1", 25)),
        ("*:0", Endpoint(None, 0)),
        ("[::1]:993", Endpoint("::1", 993)),
        ("mail.example.org:65535", Endpoint("mail.example.org", 65535)),
    ],
)
def test_addresses(text, meant):
    assert endpoints.parse(text) == meant
    assert str(meant) == text


@pytest.mark.parametrize("text", ["25", "::1:25", ":25", "host:", "host:x", "host:65536", "a b:1", "[::1]", "host:25:26"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match=r"is not host:port|above 65535"):
        endpoints.parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("a.test", ("a.test", 53)), ("a.test:5", ("a.test", 5)), ("::1", ("::1", 53)), ("[::1]", ("::1", 53)), ("[::1]:7", ("::1", 7))],
)
def test_addresses_to_connect_to(text, meant):
    assert endpoints.split(text, 53) == meant


async def test_port_0_is_a_port_that_accepts():
    (listener,) = await listeners.open_all([Door("echo", Echo(), Endpoint("127.0.0.1", 0))])
    assert (listener.host, listener.port > 0) == ("127.0.0.1", True)
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    assert await reader.read() == b"plain"
    writer.close()
    listener.close()


async def test_every_interface_is_one_port_on_both_protocols():
    (listener,) = await listeners.open_all([Door("echo", Echo(), Endpoint(None, 0))])
    assert listener.host == "127.0.0.1"
    hosts = ["127.0.0.1", "::1"] if len(listener.servers) == 2 else ["127.0.0.1"]
    for host in hosts:
        reader, writer = await asyncio.open_connection(host, listener.port)
        assert await reader.read() == b"plain"
        writer.close()
    listener.close()


async def test_a_taken_port_is_named_and_nothing_stays_open():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, other = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        doors = [Door("first", Echo(), Endpoint("127.0.0.1", other)), Door("second", Echo(), Endpoint("127.0.0.1", port))]
        with pytest.raises(PortTaken, match=f"127.0.0.1 port {port}: Address already in use"):
            await listeners.open_all(doors)
        socket.create_server(("127.0.0.1", other)).close()


async def test_a_yielding_program_takes_another_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (listener,) = await listeners.open_all([Door("echo", Echo(), Endpoint("127.0.0.1", port))], yielding=True)
        assert listener.port not in (0, port)
        listener.close()
