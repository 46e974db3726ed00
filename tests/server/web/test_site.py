"""The public web door over real sockets: which route answers, what is sent to https, what is bounded."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from postroom.model.web import Answer, Route
from postroom.policy.crowd import Crowd
from postroom.server import certificates
from postroom.server.endpoints import Endpoint
from postroom.server.http import HttpServer
from postroom.server.listeners import Door, open_all
from postroom.server.web import site
from postroom.server.web.site import Site


async def echo(request):
    text = f"{request.method} {request.host} {request.path} {request.query} {request.client} {request.secure} {request.headers.get('x-a')} "
    return Answer(200, text.encode() + request.body, "text/x-echo", (("x-b", "2"),))


async def fail(request):
    raise RuntimeError("a secret")


async def dawdle(request):
    await asyncio.Event().wait()


ROUTES = [
    Route(path="/.well-known/acme-challenge/*", handler=echo, plain=True),
    Route(host="mta-sts.*", path="/.well-known/mta-sts.txt", handler=echo),
    Route(path="/unsubscribe/*", handler=echo, methods=("POST",), body_bytes=100),
    Route(path="/fail", handler=fail),
    Route(path="/dawdle", handler=dawdle),
    Route(host="one.test", path="/both", handler=echo),
    Route(host="one.test", path="/both", handler=echo, methods=("PUT",), body_bytes=10),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return certificates.local(tmp_path_factory.mktemp("tls"), ["127.0.0.1"])


@pytest.fixture
async def doors(files):
    server = HttpServer(Site(ROUTES, secure_port=8443), seconds=1.0)
    context = certificates.context(files)
    plain, secure = await open_all(
        [Door("web", server, Endpoint("127.0.0.1", 0)), Door("web_tls", server, Endpoint("127.0.0.1", 0), context)]
    )
    yield {False: plain, True: secure, "ca": ssl.create_default_context(cafile=files.authority)}
    plain.close()
    secure.close()
    await server.close(0.1)


async def ask(doors, request, *, secure=True):
    door = doors[secure]
    reader, writer = await asyncio.open_connection(door.host, door.port, ssl=doors["ca"] if secure else None)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


def get(path, host="mx.one.test", method="GET", *headers, body=""):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", body]).encode()


async def test_a_handler_is_given_what_was_asked_and_its_answer_is_sent(doors):
    status, headers, body = await ask(
        doors, get("/unsubscribe/a%20b?t=1", "MX.One.Test:8443", "POST", "X-A: 7", "x-a: 8", body="List-Unsubscribe=One-Click")
    )
    assert (status, body) == (200, b"POST mx.one.test /unsubscribe/a b t=1 127.0.0.1 True 7 List-Unsubscribe=One-Click")
    assert headers["content-type"] == "text/x-echo"
    assert headers["x-b"] == "2"
    status, headers, body = await ask(doors, get("/both", "one.test", "HEAD"))
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 20


@pytest.mark.parametrize(
    ("path", "host", "method", "status"),
    [
        ("/.well-known/mta-sts.txt", "mta-sts.two.test", "GET", 200),
        ("/.well-known/mta-sts.txt", "mta-sts.", "GET", 404),
        ("/.well-known/mta-sts.txt", "two.test", "GET", 404),
        ("/.well-known/mta-sts.txtx", "mta-sts.two.test", "GET", 404),
        ("/.well-known/mta-sts.txt", "mta-sts.two.test.", "GET", 200),
        ("/.well-known/mta-sts.txt", "mta-sts.two.test", "POST", 405),
        ("/both", "one.test", "PUT", 200),
        ("/both", "one.test", "DELETE", 405),
        ("/both", "xone.test", "GET", 404),
        ("/", "one.test", "GET", 404),
        ("/fail", "one.test", "GET", 500),
        ("/fail", "a b", "GET", 400),
        ("/fail", "", "GET", 400),
        ("/fail", "a" * 300, "GET", 400),
    ],
)
async def test_the_first_route_for_host_path_and_method_answers(doors, path, host, method, status):
    answered = await ask(doors, get(path, host, method))
    assert answered[0] == status
    assert b"secret" not in answered[2]
    if status == 405:
        assert answered[1]["allow"] == {"/both": "GET, PUT, HEAD"}.get(path, "GET, HEAD")


@pytest.mark.parametrize(
    ("host", "path", "target"),
    [
        ("mx.test", "/both?a=%20b", "https://mx.test/both?a=%20b"),
        ("mx.test:80", "//other.test/", "https://mx.test//other.test/"),
        ("127.0.0.1:8081", "/a%0d%0ab", "https://127.0.0.1:8443/a%0d%0ab"),
        ("[::1]:8081", "/", "https://[::1]:8443/"),
    ],
)
async def test_without_tls_a_client_is_sent_to_https(doors, host, path, target):
    status, headers, body = await ask(doors, get(path, host, "POST", body="x" * 500), secure=False)
    assert (status, headers["location"], body) == (308, target, b"")


async def test_without_tls_what_is_meant_to_be_is_answered(doors):
    status, _, body = await ask(doors, get("/.well-known/acme-challenge/token"), secure=False)
    assert (status, body.split()[2]) == (200, b"/.well-known/acme-challenge/token")


async def test_without_a_door_for_tls_nobody_is_sent_there():
    server = HttpServer(Site(ROUTES, secure_port=None))
    (plain,) = await open_all([Door("web", server, Endpoint("127.0.0.1", 0))])
    assert (await ask({False: plain}, get("/both", "one.test"), secure=False))[0] == 404
    plain.close()
    await server.close(0.1)


async def test_a_body_is_no_larger_than_its_route_takes(doors):
    assert (await ask(doors, get("/unsubscribe/a", "one.test", "POST", body="x" * 100)))[0] == 200
    assert (await ask(doors, get("/unsubscribe/a", "one.test", "POST", body="x" * 101)))[0] == 413
    assert (await ask(doors, get("/both", "one.test", "GET", body="x")))[0] == 413
    chunks = b"POST /unsubscribe/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await ask(doors, chunks + b"33\r\n" + b"x" * 51 + b"\r\n33\r\n" + b"x" * 51 + b"\r\n0\r\n\r\n"))[0] == 413
    assert (await ask(doors, chunks + b"33\r\n" + b"x" * 51 + b"\r\n0\r\n\r\n"))[0] == 200


async def test_a_handler_has_its_time(doors, monkeypatch):
    monkeypatch.setattr(site, "HANDLER_SECONDS", 0.05)
    status, headers, _ = await ask(doors, get("/dawdle"))
    assert (status, headers["retry-after"]) == (503, "60")


async def test_a_request_that_does_not_end_is_cut_off(doors):
    with pytest.raises((ConnectionError, IndexError)):
        await ask(doors, get("/unsubscribe/a", "one.test", "POST", "Content-Length: 50"))


async def test_one_address_has_so_many_connections_at_once(files):
    crowd = Crowd(most=100, most_of_place=2)
    server = HttpServer(Site(ROUTES, secure_port=None), crowd=crowd)
    plain, secure = await open_all(
        [Door("web", server, Endpoint("127.0.0.1", 0)), Door("web_tls", server, Endpoint("127.0.0.1", 0), certificates.context(files))]
    )
    doors = {False: plain, True: secure, "ca": ssl.create_default_context(cafile=files.authority)}
    held = [await asyncio.open_connection(plain.host, plain.port) for _ in range(2)]
    for secured in (False, True):
        with pytest.raises((ConnectionError, IndexError)):
            await ask(doors, get("/.well-known/acme-challenge/token"), secure=secured)
    held[0][1].close()
    await asyncio.wait_for(until(lambda: crowd.inside == 1), 5)
    assert (await ask(doors, get("/.well-known/acme-challenge/token"), secure=True))[0] == 200
    plain.close()
    secure.close()
    await server.close(0.1)
    await asyncio.wait_for(until(lambda: crowd.inside == 0), 5)


async def until(true):
    while not true():
        await asyncio.sleep(0.01)
