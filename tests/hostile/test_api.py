"""The administration API under attack: JSON bombs, huge and lying heads, and signatures that are nearly right.

Every answer is one of AWS's errors; nothing is a 500, and nothing unsigned is a 200.
"""

from __future__ import annotations

import json
import random
import socket
from contextlib import suppress

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.hostile.attacks import GONE, dial, ports, read_all
from tests.program import Ready

TARGET = "WorkMailService.ListUsers"


def signed(ready: Ready, body: bytes, target: str = TARGET) -> dict[str, str]:
    """Return the head of a request that the administrator's key has signed."""
    request = AWSRequest("POST", ready.api + "/", data=body, headers={"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"})
    SigV4Auth(Credentials(ready.access_key_id, ready.secret_access_key), "workmail", ready.region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


def post(ready: Ready, head: dict[str, str], body: bytes, seconds: float = 15) -> tuple[int, bytes]:
    """Send one request; return status and body, or 0 when the connection was closed without an answer."""
    host, port = ports(ready)["api"]
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"{host}:{port}", "Content-Length": str(len(body)), **head}.items())
    with dial((host, port), seconds) as sock:
        with suppress(*GONE):
            sock.sendall(f"POST / HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode("latin-1") + body)
        answer = read_all(sock, seconds)
    top, _, content = answer.partition(b"\r\n\r\n")
    return (int(top.split()[1]) if top else 0), content


DEEP = 100_000
BODIES = {
    "arrays": b"[" * DEEP,
    "closed arrays": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a known member, deep": b'{"OrganizationId":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "an unknown member, deep": b'{"Surprise":' + b'{"x":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "a long number": b'{"OrganizationId":"m-0123456789abcdef0123456789abcdef","MaxResults":' + b"9" * 900_000 + b"}",
    "an exponent": b'{"MaxResults":1e999999999}',
    "not a number": b'{"MaxResults":NaN}',
    "a fraction": b'{"OrganizationId":"m-0123456789abcdef0123456789abcdef","MaxResults":1.5}',
    "below nothing": b'{"MaxResults":-99999999999999999999}',
    "members without end": b"{" + b",".join(b'"k%d":1' % number for number in range(80_000)) + b"}",
    "the same member": b"{" + b'"OrganizationId":"x",' * 40_000 + b'"OrganizationId":"y"}',
    "a long string": b'{"OrganizationId":"' + b"x" * 900_000 + b'"}',
    "escapes": b'{"OrganizationId":"' + b"\\u0041" * 140_000 + b'"}',
    "half a pair": b'{"OrganizationId":"\\ud800"}',
    "no UTF-8": b'{"OrganizationId":"\xff\xfe\xc0\x80"}',
    "a NUL": b'{"OrganizationId":"m-\\u0000"}',
    "a lone word": b"null",
    "a list": b"[]",
    "nothing": b"",
    "blanks": b" " * 900_000,
    "two documents": b"{}{}",
    "cut": b'{"OrganizationId":"m-',
    "a mark of byte order": b"\xef\xbb\xbf{}",
    "UTF-16": '{"OrganizationId":"m-"}'.encode("utf-16"),
    "a pattern's worst case": b'{"OrganizationId":"m-' + b"0" * 50_000 + b'!"}',
    "a token": b'{"OrganizationId":"m-0123456789abcdef0123456789abcdef","NextToken":"' + b"A" * 1024 + b'"}',
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("target", [TARGET, "WorkMailService.CreateUser", "WorkMailService.TagResource"])
def test_signed_bodies_that_mean_harm(ready, watch, kind, target):
    body = BODIES[kind]
    status, answer = post(ready, signed(ready, body, target), body)
    assert status in (400, 413), answer[:500]
    error = json.loads(answer)
    assert error["__type"].endswith(("Exception", "Error")) or "__type" in error
    assert "internal" not in str(error).lower()


def test_a_body_of_a_hundred_megabytes(ready, watch):
    head = signed(ready, b"{}")
    host, port = ports(ready)["api"]
    with dial((host, port), 20) as sock:
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        sent = 0
        with suppress(*GONE):
            sock.sendall(f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {100 << 20}\r\n{lines}\r\n".encode())
            while sent < 100 << 20:
                sock.sendall(b"[" * 65536)
                sent += 65536
        answer = read_all(sock, 10)
    assert not answer.startswith(b"HTTP/1.1 2"), answer[:300]


def test_chunks_without_end(ready, watch):
    host, port = ports(ready)["api"]
    with dial((host, port), 20) as sock, suppress(*GONE):
        sock.sendall(f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nTransfer-Encoding: chunked\r\nX-Amz-Target: {TARGET}\r\n\r\n".encode())
        for _ in range(2000):
            sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 10_000_000,
        b"POST / HTTP/1.1\r\nX-Long: " + b"b" * 10_000_000,
        b"POST / HTTP/1.1\r\n" + b"X-Many: c\r\n" * 500_000,
        b"POST / HTTP/1.1\r\nHost: x\r\n" + b" folded\r\n" * 500_000,
        b"POST / HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 " + b"Credential=" * 4_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/workmail/aws4_request, SignedHeaders="
        + b"h;" * 20_000
        + b", Signature=0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 500\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 1000,
        b"\0" * 1_000_000,
        b"GET /%00%ff%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    ],
    ids=lambda head: repr(head[:40]),
)
def test_heads_that_mean_harm(ready, watch, head):
    with dial(ports(ready)["api"], 10) as sock:
        with suppress(*GONE):
            sock.sendall(head)
            sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock, 2)
    assert b"HTTP/1.1 200" not in answer, answer[:500]
    assert b"HTTP/1.1 5" not in answer, answer[:500]


def mutated(chance: random.Random, text: str) -> str:
    """Change a text a little, somewhere."""
    at = chance.randrange(len(text))
    return chance.choice(
        [
            lambda: text[:at] + text[at + 1 :],
            lambda: text[:at] + chance.choice("=,;/ \t\"'%A0\x7f\xff") + text[at:],
            lambda: text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :],
            lambda: text[:at],
            lambda: text[at:] + text[:at],
            lambda: text[:at] + text[at : at + 30] * 20 + text[at:],
            lambda: ", ".join(chance.sample(text.split(", "), len(text.split(", ")))),
        ]
    )()


def test_signatures_that_are_nearly_right(ready, watch):
    """Mutations of a good Authorization line and of each signed header; only an unchanged meaning may pass."""
    chance = random.Random(5)
    body = json.dumps({"OrganizationId": ready.organization_id}).encode()
    good = signed(ready, body)
    status, _ = post(ready, good, body)
    assert status == 200
    parts = {part.strip() for part in good["Authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")}
    for _ in range(400):
        name = chance.choice(["Authorization", "Authorization", "Authorization", "X-Amz-Date", "X-Amz-Target", "Content-Type"])
        head = dict(good)
        head[name] = mutated(chance, good[name])
        if any(ord(letter) < 32 and letter != "\t" for letter in head[name]):
            continue
        status, answer = post(ready, head, body)
        same = (
            name == "Authorization" and {part.strip() for part in head[name].strip().removeprefix("AWS4-HMAC-SHA256").split(",")} == parts
        )
        same = same or head[name].split() == good[name].split()
        assert status in ((200, 400, 403) if same else (400, 403, 404)), (head[name], status, answer[:300])
        if answer:
            assert "internal" not in answer.decode(errors="replace").lower(), (head[name], answer)
