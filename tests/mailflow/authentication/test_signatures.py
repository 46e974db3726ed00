"""DKIM and ARC as dkimpy signs and seals them, and what is left of a signature when something has changed."""

from __future__ import annotations

import base64
from functools import cache

import dkim as foreign
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.formats import dkim as forms
from postroom.mailflow.assessment import Result
from postroom.mailflow.authentication import arc, dkim
from tests.mailflow.authentication.scripted import Zone, ask

NOW = 1_800_000_000.0
LETTER = b"From: Ann <ann@example.test>\r\nTo: bob@elsewhere.test\r\nSubject:  A  folded\r\n\tsubject \r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nHello  there \r\n\r\nBye\r\n\r\n\r\n"


@cache
def key(bits: int) -> tuple[bytes, str]:
    made = rsa.generate_private_key(65537, bits)
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    public = made.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, base64.b64encode(public).decode()


def zone(text: str = "", bits: int = 2048) -> Zone:
    return {("s1._domainkey.example.test", "TXT"): [text or f"v=DKIM1; k=rsa; p={key(bits)[1]}"]}


def signed(raw: bytes = LETTER, form: str = "relaxed/relaxed", bits: int = 2048, **values: object) -> bytes:
    header, _, body = form.partition("/")
    line = foreign.sign(raw, b"s1", b"example.test", key(bits)[0], canonicalize=(header.encode(), body.encode()), **values)
    return bytes(line) + raw


def verify(raw: bytes, answers: Zone | None = None) -> list[Result]:
    return [found.result for found in ask(dkim.verify(dkim.Letter(raw), NOW), zone() if answers is None else answers)]


@pytest.mark.parametrize("form", ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"])
def test_what_dkimpy_signs_holds_and_not_when_it_has_changed(form: str) -> None:
    raw = signed(form=form)
    assert verify(raw) == [Result.PASS]
    assert verify(raw.replace(b"Hello", b"Hallo")) == [Result.FAIL]
    assert verify(raw.replace(b"ann@example", b"eve@example")) == [Result.FAIL]
    assert verify(raw.replace(b"folded", b"folden")) == [Result.FAIL]
    assert verify(raw, {}) == [Result.PERMERROR]
    assert verify(raw, {("s1._domainkey.example.test", "TXT"): None}) == [Result.TEMPERROR]


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("v=DKIM1; p=", Result.PERMERROR),
        ("v=DKIM2; p={key}", Result.PERMERROR),
        ("p={key}", Result.PASS),
        ("v=DKIM1; h=sha1; p={key}", Result.PERMERROR),
        ("v=DKIM1; h=sha1:sha256; p={key}", Result.PASS),
        ("v=DKIM1; s=tlsrpt; p={key}", Result.PERMERROR),
        ("v=DKIM1; k=ed25519; p={key}", Result.PERMERROR),
        ("v=DKIM1; t=s; p={key}", Result.PASS),
        ("v=DKIM1; p=nonsense!", Result.PERMERROR),
        ("v=DKIM1", Result.PERMERROR),
    ],
)
def test_the_key_decides(record: str, result: Result) -> None:
    assert verify(signed(), zone(record.replace("{key}", key(2048)[1]))) == [result]


def test_what_covers_not_all_of_the_body_or_has_a_short_key_proves_nothing() -> None:
    raw = signed(length=True)
    assert verify(raw) == [Result.PASS]
    assert verify(raw + b"Buy this\r\n") == [Result.POLICY]
    assert verify(signed(bits=1024), zone(bits=1024)) == [Result.PASS]


def test_many_signatures_cost_little() -> None:
    many = signed()[: -len(LETTER)] * 1000
    assert len(verify(many + LETTER)) == dkim.MAX_SIGNATURES


def test_in_a_header_without_end_no_signature_is_looked_for() -> None:
    assert verify(b"X-Many: y\r\n" * (forms.MAX_FIELDS - 10) + signed()) == [Result.PASS]
    assert verify(b"X-Many: y\r\n" * forms.MAX_FIELDS + signed()) == []


@given(st.text(alphabet="ab \t\r\n", max_size=60).map(lambda text: text.replace("\r", "").replace("\n", "\r\n").encode()))
def test_canonical_bodies_are_dkimpys(body: bytes) -> None:
    body += b"\r\n" if body else b""  # as every letter ends in motion
    relaxed, simple = foreign.canonicalization.Relaxed.canonicalize_body(body), foreign.canonicalization.Simple.canonicalize_body(body)
    assert forms.relaxed_body(body) == relaxed
    assert forms.simple_body(body) == simple


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_no_octets_in_a_signature_do_worse_than_fail(octets: bytes) -> None:
    value = octets.replace(b"\r", b"").replace(b"\n", b"")
    for name in (b"DKIM-Signature", b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"):
        letter = dkim.Letter(name + b": " + value + b"\r\n" + LETTER)
        assert Result.PASS not in [found.result for found in ask(dkim.verify(letter, NOW), zone())]
        assert ask(arc.verify(letter, NOW), zone()).result in {Result.NONE, Result.FAIL}


def sealed(raw: bytes, times: int) -> bytes:
    for number in range(times):
        chain = b"; arc=pass" if number else b""
        found = b"Authentication-Results: lists.example.test" + chain + b"; spf=pass smtp.mfrom=ann@example.test\r\n"
        lines = foreign.arc_sign(found + raw, b"s1", b"example.test", key(2048)[0], b"lists.example.test")
        raw = b"".join(lines) + raw
    return raw


def test_a_chain_that_dkimpy_sealed_holds_and_not_when_it_has_changed() -> None:
    assert ask(arc.verify(dkim.Letter(LETTER), NOW), zone()).result is Result.NONE
    for times in (1, 2, 3):
        raw = sealed(LETTER, times)
        found = ask(arc.verify(dkim.Letter(raw), NOW), zone())
        assert (found.result, found.instances, found.sealer) == (Result.PASS, times, "example.test"), found.reason
        assert ask(arc.verify(dkim.Letter(raw.replace(b"Hello", b"Hallo")), NOW), zone()).result is Result.FAIL
        without = raw.replace(b"ARC-Authentication-Results:", b"X-Gone:", 1)
        assert ask(arc.verify(dkim.Letter(without), NOW), zone()).result is Result.FAIL


def test_a_seal_that_says_what_its_place_does_not_allow_breaks_the_chain() -> None:
    raw = sealed(LETTER, 2)
    for told, other in ((b"cv=pass", b"cv=fail"), (b"cv=pass", b"cv=none"), (b"cv=none", b"cv=pass")):
        found = ask(arc.verify(dkim.Letter(raw.replace(told, other)), NOW), zone())
        assert (found.result, "broken before" in found.reason) == (Result.FAIL, True), found.reason
