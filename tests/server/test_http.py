import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from postroom.server import doors
from postroom.server.endpoints import Endpoint
from postroom.server.http import HEAD_OCTETS, HttpServer
from postroom.server.listeners import Door, Listener, open_all


async def gateway(scope, receive, send):
    """Answer with the size of the body."""
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    body = b"gateway %d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def healthy() -> bool:
    return True


async def unhealthy() -> bool:
    return False


async def listening(application, **settings) -> AsyncIterator[Listener]:
    server = HttpServer(application, **settings)
    (listener,) = await open_all([Door("api", server, Endpoint("127.0.0.1", 0))])
    yield listener
    listener.close()
    await server.close(1.0)


@pytest.fixture
async def api():
    async for listener in listening(doors.api(gateway, healthy), seconds=0.3):
        yield listener


async def talk(listener: Listener, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]).encode()


async def test_requests_reach_the_gateway_with_their_bodies(api):
    answer = await talk(api, b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\ngateway 300000")
    assert b"\r\ndate: " in answer


async def test_a_connection_serves_many_requests(api):
    reader, writer = await asyncio.open_connection(api.host, api.port)
    for _ in range(3):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx")
        answer = await asyncio.wait_for(reader.readuntil(b"gateway 2"), 5)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_health(api):
    assert (await talk(api, get("/healthz"))).endswith(b'{"status":"ok"}\n')
    async for sick in listening(doors.api(gateway, unhealthy)):
        assert (await talk(sick, get("/healthz"))).startswith(b"HTTP/1.1 503 ")


async def test_metrics_are_for_this_machine_and_for_no_proxy(api):
    assert b"python_info" in await talk(api, get("/metrics"))
    assert (await talk(api, get("/metrics", "X-Forwarded-For: 192.0.2.1"))).endswith(b"gateway 0")
    assert (await talk(api, get("/metrics", "Forwarded: for=192.0.2.1"))).endswith(b"gateway 0")


async def test_the_scrapers_listener_has_nothing_else():
    async for listener in listening(doors.observation(healthy)):
        assert b"python_info" in await talk(listener, get("/metrics", "X-Forwarded-For: 192.0.2.1"))
        assert (await talk(listener, get("/"))).startswith(b"HTTP/1.1 404 ")


async def test_a_head_without_end_is_cut_off(api):
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
    sent = 0
    try:
        while sent < 20 * HEAD_OCTETS:
            writer.write(b"X-Filler: " + b"x" * 8000 + b"\r\n")
            await asyncio.wait_for(writer.drain(), 5)
            sent += 8000
    except ConnectionError:
        pass
    else:
        pytest.fail("the server read on")
    assert sent < 20 * HEAD_OCTETS
    del reader


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"0\r\n", b"X-Filler: " + b"x" * 8000 + b"\r\n"),
        (b"0\r\nX-Filler: ", b"x" * 8000),
        (b"5;", b"a=b;" * 2000),
    ],
    ids=["trailers", "a trailer", "an extension"],
)
async def test_trailers_and_framing_without_end_are_cut_off(start, piece):
    async for listener in listening(doors.api(gateway, healthy)):
        reader, writer = await asyncio.open_connection(listener.host, listener.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
        sent = 0
        with suppress(ConnectionError):
            while sent < 100 * HEAD_OCTETS:
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), 5)
                sent += len(piece)
        assert sent < 100 * HEAD_OCTETS
        writer.close()
        del reader


async def test_a_body_in_chunks_arrives_whole():
    """More than a head may be, in pieces as small as clients make them."""
    async for listener in listening(doors.api(gateway, healthy)):
        request = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await talk(listener, request + b"10\r\n0123456789abcdef\r\n" * 20_000 + b"0\r\n\r\n")
        assert answer.endswith(b"gateway 320000")


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nxx"])
async def test_a_request_that_does_not_come_to_its_end_is_dropped(api, start):
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(start)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    writer.close()


async def test_closing_lets_a_request_finish():
    begun, end = asyncio.Event(), asyncio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await end.wait()
        await gateway(scope, receive, send)

    server = HttpServer(slow)
    (listener,) = await open_all([Door("api", server, Endpoint("127.0.0.1", 0))])
    asking = asyncio.create_task(talk(listener, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"))
    await begun.wait()
    listener.close()
    closing = asyncio.create_task(server.close(5.0))
    await asyncio.sleep(0)
    end.set()
    assert (await asking).endswith(b"gateway 0")
    await asyncio.wait_for(closing, 2)


async def test_a_long_pipeline_is_cut(api):
    answer = await talk(api, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
    assert answer.count(b"HTTP/1.1 200 OK") < 100
    assert b"HTTP/1.1 400 Bad Request" in answer
