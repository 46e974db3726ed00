"""Hostile requests to the API, a fixed budget of them: no header and no body makes it raise anything but a refusal, or take long."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from postroom.api import errors, sigv4, validation
from postroom.api.errors import Refusal
from postroom.api.model import load

SECRET = "s" * 40
BODY = b'{"OrganizationId":"m-00000000000000000000000000000000"}'
HEADER_WORDS = [
    b"AWS4-HMAC-SHA256",
    b"Credential=",
    b"SignedHeaders=",
    b"Signature=",
    b",",
    b"/",
    b";",
    b"=",
    b" ",
    b"aws4_request",
    b"host",
    b"\xff",
    b"\0",
    b"x-amz-date",
]
BODY_WORDS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"9" * 400,
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\0",
    b" ",
    b'"Name"',
    b'"Tags"',
    b"1.5",
]


def signed() -> dict[bytes, bytes]:
    request = AWSRequest(
        "POST", "http://h/", data=BODY, headers={"Host": "h", "X-Amz-Target": "WorkMailService.ListUsers", "X-Amz-Meta": "a  b"}
    )
    SigV4Auth(Credentials("AKIAEXAMPLE", SECRET, "session"), "workmail", "us-east-1").add_auth(request)
    return {name.lower().encode(): value.encode() for name, value in request.headers.items()}


def mutated(raw: bytes, words: list[bytes], dice: random.Random) -> bytes:
    """Cut, repeat, splice and salt bytes a few times."""
    for _ in range(dice.randint(1, 4)):
        at, to = sorted((dice.randint(0, len(raw)), dice.randint(0, len(raw))))
        middle = dice.choice([b"", raw[at:to] * 2, dice.choice(words), raw[at:to].upper(), bytes([dice.randrange(256)])])
        raw = raw[:at] + middle + raw[to if dice.random() < 0.5 else at :]
    return raw[:20_000]


def verify(headers: dict[bytes, bytes], now: float) -> str:
    """Check a request; gives the code of the refusal, or nothing."""
    try:
        claim = sigv4.read(headers)
        sigv4.check_scope(claim, region="us-east-1", service="workmail", now=now)
        sigv4.check(claim, SECRET, method="POST", path="/", query="", headers=headers, body=BODY)
    except Refusal as refusal:
        return refusal.code
    return "" if claim.credential.key_id == "AKIAEXAMPLE" else "UnrecognizedClientException"


def test_signature_headers() -> None:
    dice, good, now = random.Random(4), signed(), time.time()
    assert verify(good, now) == ""
    for _ in range(6_000):
        name = dice.choice(
            [b"authorization", b"authorization", b"x-amz-date", b"host", b"x-amz-target", b"x-amz-security-token", b"x-amz-meta"]
        )
        changed = good | {name: mutated(good[name], HEADER_WORDS, dice)}
        code = verify(changed, now)
        assert code in errors.COMMON or (code == "" and same(name, changed[name], good[name])), changed[name]


def same(name: bytes, changed: bytes, good: bytes) -> bool:
    """Say whether a change may pass: spaces, which do not count, around and between words or the parts of the signature."""
    return changed.split() == good.split() or (name == b"authorization" and b"".join(changed.split()) == b"".join(good.split()))


@pytest.mark.parametrize(
    "name", ["CreateUser", "ListUsers", "TagResource", "UpdateResource", "CreateOrganization", "PutAccessControlRule", "PutRetentionPolicy"]
)
def test_bodies(name: str) -> None:
    dice = random.Random(name)
    shape = load().operations[name].input
    good = json.dumps({member.name: sample(member.shape) for member in shape.members}).encode()
    for _ in range(1_500):
        body = mutated(good, BODY_WORDS, dice)
        began = time.perf_counter()
        try:
            params: Any = validation.decode(name, body)
        except Refusal as refusal:
            errors.body(refusal.code, refusal.text).decode()
            params = None
        assert time.perf_counter() - began < 3.0
        if params is not None:
            assert validation.explain(load().operations[name], json.dumps(params).encode()) == params


def sample(shape: Any) -> Any:
    if shape.kind == "structure":
        return {member.name: sample(member.shape) for member in shape.members}
    if shape.kind == "list":
        return [sample(shape.member)]
    return {"boolean": True, "string": (shape.enum or ("abc",))[0]}.get(shape.kind, 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Tags":[' + b"{}," * 340_000 + b"{}]}",
        b'{"Tags":' + b"[" * 1_000_000,
        b'{"TagKeys":["' + b'","' * 300_000 + b'"]}',
        b'{"ResourceARN":"' + b"arn:aws:workmail:a:b:" + b"a" * 1_000_000 + b'"}',
        b'{"FolderConfigurations":[' + b'{"Name":"INBOX"},' * 60_000 + b"{}]}",
        b"{" + b",".join(b'"%d":{}' % number for number in range(90_000)) + b"}",
        b'{"MaxResults":' + b"9" * 1_000_000 + b"}",
    ],
    ids=["structures", "depth", "strings", "pattern", "unbounded", "unknown members", "digits"],
)
def test_a_megabyte_of_malice_is_refused_quickly(body: bytes) -> None:
    for name in ("TagResource", "UntagResource", "PutRetentionPolicy", "ListUsers"):
        began = time.process_time()
        with pytest.raises(Refusal) as caught:
            validation.decode(name, body)
        assert time.process_time() - began < 3.0
        assert len(caught.value.text) < 200_000
