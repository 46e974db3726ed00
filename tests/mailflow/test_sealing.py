"""Seals on what goes on, as others check them: dkimpy, rspamd, and our own checks."""

from __future__ import annotations

import base64
import random
from dataclasses import replace

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from postroom.formats import headers
from postroom.mailflow import sealing, signing
from postroom.mailflow.assessment import OURS, Arc, Assessment, Authentication, Dmarc, Policy, Result, Signature, Spf
from postroom.mailflow.authentication import arc, dkim
from tests.mailflow.authentication.scripted import ask
from tests.mailflow.authentication.test_signatures import sealed as sealed_by_dkimpy
from tests.mailflow.authentication.test_signatures import zone
from tests.mailflow.test_signing import generated

NOW = 1_790_000_000.0
RSA = rsa.generate_private_key(65537, 2048)
KEY = signing.load("seal", RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
PUBLIC = base64.b64encode(RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
ZONE = {("seal._domainkey.ours.test", "TXT"): [f"v=DKIM1; k=rsa; p={PUBLIC}"], **zone()}
KNOWN = Authentication(
    "192.0.2.7",
    "mx.far.test",
    iprev=Result.PASS,
    name="mx.far.test",
    spf=Spf(Result.FAIL, "far.test", reason='caf\u00e9 \u2603; b="x"'),
    dkim=(Signature(Result.PASS, "far.test", "s1", "@far.test", "rsa-sha256"),),
    dmarc=Dmarc(Result.PASS, "far.test", "far.test", Policy.REJECT, record="v=DMARC1"),
)


def known(**values: object) -> Assessment:
    return Assessment(replace(KNOWN, **values), server="mx.ours.test")  # type: ignore[arg-type]


def names(name: bytes, timeout: int = 5) -> bytes:
    return ZONE.get((name.decode().rstrip("."), "TXT"), [""])[0].encode()


def passed_on(raw: bytes, change: bytes = b"X-Passed: on\r\n") -> bytes:
    """Take a letter in, find out about its chain, change it, seal it, and let it end as on the wire."""
    chain = ask(arc.verify(dkim.Letter(raw), NOW), ZONE)
    raw = signing.even(change + raw)
    raw = sealing.fields(raw, known(arc=chain), "ours.test", KEY, NOW) + raw
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def verdict(raw: bytes) -> tuple[bytes, Result]:
    """What dkimpy and we say of a chain."""
    state, _, reason = dkimpy.arc_verify(raw, dnsfunc=names)
    found = ask(arc.verify(dkim.Letter(raw), NOW), ZONE)
    assert (state == b"pass") == (found.result is Result.PASS), (state, reason, found)
    return state, found.result


def test_chains_of_any_length_hold_before_others() -> None:
    for seed in range(20):
        raw = generated(seed)
        for count in range(1, 4 + (seed == 0) * 15):
            raw = passed_on(raw)
            assert verdict(raw) == (b"pass", Result.PASS), (seed, count)
            assert len(headers.find_all(raw, "ARC-Seal")) == count
        assert verdict(raw.replace(b"X-Passed", b"X-Changed")) == (b"pass", Result.PASS)
        assert verdict(raw + b"more\r\n")[1] is Result.FAIL
        assert verdict(b"From: eve@evil.test\r\n" + raw)[1] is Result.FAIL


def test_a_chain_that_others_began_goes_on() -> None:
    for times in (1, 2, 3):
        raw = passed_on(sealed_by_dkimpy(generated(times).rstrip() + b"\r\n", times))
        assert verdict(raw) == (b"pass", Result.PASS)
        assert [b"cv=pass" in seal for seal in headers.find_all(raw, "ARC-Seal")] == [True] * times + [False]
        again = sealed_by_dkimpy(raw, 1)
        assert verdict(again)[0] == b"pass"


def test_the_seal_says_what_was_found_and_by_whom() -> None:
    raw = passed_on(b"From: a@far.test\r\nDKIM-Signature: v=1; d=far.test\r\n\r\ntext\r\n")
    (found,) = headers.find_all(raw, "ARC-Authentication-Results")
    said = found.decode("ascii")
    assert said.startswith("i=1; mx.ours.test;")
    for part in (
        "iprev=pass policy.iprev=192.0.2.7",
        "spf=fail",
        "dkim=pass header.d=far.test",
        "dmarc=pass (p=reject) header.from=far.test",
    ):
        assert part in said
    (signature,) = headers.find_all(raw, "ARC-Message-Signature")
    assert b"dkim-signature" in signature
    assert max(len(line) for line in raw.split(b"\r\n")) < 200


def test_a_broken_chain_is_said_to_be_broken_once() -> None:
    raw = sealed_by_dkimpy(b"From: a@far.test\r\n\r\ntext\r\n", 2).replace(b"text", b"test")
    raw = passed_on(raw)
    seals = headers.find_all(raw, "ARC-Seal")
    assert len(seals) == 3
    assert b"i=3;" in seals[0]
    assert b"cv=fail" in seals[0]
    newest = arc.Set(*[next(field for field in dkim.Letter(raw).fields[name] if b"i=3;" in field) for name in arc.KINDS])
    claim = dkim.read({**arc._complete(arc._tags(newest.seal)), "h": "from", "c": "relaxed/relaxed"}, ("a", "b", "d", "s"), NOW)
    ask(dkim.check_signature(claim, arc.sealed_header([newest])), ZONE)  # over that set alone, or it raises
    assert verdict(raw)[1] is Result.FAIL
    assert passed_on(raw, b"") == raw


def seal(raw: bytes, assessment: Assessment) -> bytes:
    return sealing.fields(raw, assessment, "ours.test", KEY, NOW)


def test_where_nothing_is_known_nothing_is_sealed() -> None:
    raw = b"From: a@far.test\r\n\r\ntext\r\n"
    assert seal(raw, known())
    for nothing in (OURS, Assessment(), Assessment(Authentication("192.0.2.7", "mx.far.test"), server="mx.ours.test")):
        assert seal(raw, nothing) == b""
    chain = sealed_by_dkimpy(raw, 1)
    assert seal(chain, known(arc=Arc(Result.TEMPERROR, 1))) == b""
    assert b"cv=fail" in seal(chain, known(arc=Arc()))  # it was not there when it was looked for
    assert b"cv=fail" in seal(chain, known(arc=Arc(Result.PASS, 2, "example.test")))
    assert b"cv=pass" in seal(chain, known(arc=Arc(Result.PASS, 1, "example.test")))


@pytest.mark.parametrize(("number", "sealed"), [(1, True), (19, True), (20, True), (21, False), (49, False), (50, False), (999, False)])
def test_chains_end_somewhere(number: int, sealed: bool) -> None:
    raw = b"ARC-Seal: i=%d; a=rsa-sha256; cv=pass; d=x.test; s=s; b=\r\nFrom: a@far.test\r\n\r\ntext\r\n" % number
    assert bool(seal(raw, known(arc=Arc(Result.FAIL)))) is sealed


def test_no_octets_in_a_chain_do_harm() -> None:
    dice = random.Random(1)
    kinds = [b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"]
    pieces = [b"i=1", b"i=1", b"i=2", b";", b"=", b"cv=fail", b"cv=none", b"b=", b"\xff", b" ", b"\r\n\t", b"i=1;", b"(", b"a=rsa-sha256;"]
    for _ in range(500):
        fields = b"".join(
            dice.choice(kinds) + b":" + b"".join(dice.choices(pieces, k=dice.randint(0, 6))) + b"\r\n" for _ in range(dice.randint(1, 5))
        )
        made = seal(fields + b"From: a@far.test\r\n\r\ntext\r\n", known(arc=Arc(Result.FAIL)))
        assert made == b"" or b"cv=fail" in made
