"""DMARC: alignment, policies and where they are found; Authentication-Results, ours and forged ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mailflow.assessment import Arc, Assessment, Authentication, Dmarc, Policy, Result, Signature, Spf
from postroom.mailflow.authentication import dmarc, iprev, results
from postroom.mailflow.authentication.dmarc import Evidence
from tests.mailflow.authentication.scripted import Zone, ask

ZONE: Zone = {
    ("_dmarc.example.co.uk", "TXT"): ["v=DMARC1; p=reject; sp=quarantine; rua=mailto:r@example.co.uk,https://x.test"],
    ("_dmarc.strict.test", "TXT"): ["v=DMARC1; p=quarantine; aspf=s; adkim=s"],
    ("_dmarc.half.test", "TXT"): ["v=DMARC1; p=reject; pct=0"],
    ("_dmarc.double.test", "TXT"): ["v=DMARC1; p=reject", "v=DMARC1; p=none"],
    ("_dmarc.down.test", "TXT"): None,
    ("_dmarc.bank", "TXT"): ["v=DMARC1; p=reject; psd=y; np=reject"],
}


def judge(author: str, *, spf: str = "", signed: str = "", walk: bool = False, **values: object) -> Dmarc:
    evidence = Evidence(
        (author,),
        Spf(Result.PASS, spf) if spf else Spf(Result.FAIL, "x.test"),
        (Signature(Result.PASS, signed),) if signed else (),
    )
    found: Dmarc = ask(dmarc.check(evidence, walk=walk, **values), ZONE)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("author", "spf", "signed", "result", "policy"),
    [
        ("example.co.uk", "example.co.uk", "", Result.PASS, Policy.NONE),
        ("example.co.uk", "bounces.example.co.uk", "", Result.PASS, Policy.NONE),
        ("news.example.co.uk", "", "example.co.uk", Result.PASS, Policy.NONE),
        ("example.co.uk", "other.co.uk", "another.co.uk", Result.FAIL, Policy.REJECT),
        ("news.example.co.uk", "", "", Result.FAIL, Policy.QUARANTINE),
        ("strict.test", "mail.strict.test", "mail.strict.test", Result.FAIL, Policy.QUARANTINE),
        ("strict.test", "", "strict.test", Result.PASS, Policy.NONE),
        ("half.test", "", "", Result.FAIL, Policy.QUARANTINE),
        ("double.test", "", "", Result.NONE, Policy.NONE),
        ("nothing.test", "", "", Result.NONE, Policy.NONE),
        ("down.test", "", "", Result.TEMPERROR, Policy.NONE),
    ],
)
def test_who_speaks_for_the_author(author: str, spf: str, signed: str, result: Result, policy: Policy) -> None:
    found = judge(author, spf=spf, signed=signed)
    assert (found.result, found.policy) == (result, policy)


def test_the_walk_up_the_tree_finds_what_no_list_knows() -> None:
    assert judge("mail.example.bank", walk=True).policy is Policy.REJECT
    assert judge("mail.example.bank", signed="example.bank", walk=True).result is Result.PASS
    assert judge("mail.example.bank", signed="other.bank", walk=True).result is Result.FAIL


def test_where_reports_are_wanted_and_what_several_authors_come_to() -> None:
    assert judge("example.co.uk").reports == ("mailto:r@example.co.uk",)
    found = ask(dmarc.check(Evidence(("nothing.test", "example.co.uk"), Spf(Result.PASS, "nothing.test"), ())), ZONE)
    assert (found.domain, found.policy) == ("example.co.uk", Policy.REJECT)


def test_somebody_trusted_who_has_sealed_a_letter_is_believed() -> None:
    evidence = Evidence(("example.co.uk",), Spf(Result.FAIL, "x.test"), (), Arc(Result.PASS, 1, "lists.test"))
    assert ask(dmarc.check(evidence, sealers=frozenset({"lists.test"})), ZONE).policy is Policy.NONE
    assert ask(dmarc.check(evidence, sealers=frozenset({"other.test"})), ZONE).policy is Policy.REJECT


@pytest.mark.parametrize(
    "forged",
    [
        b"Authentication-Results: mx.us.test; spf=pass\r\n",
        b"authentication-results : MX.US.TEST 1; spf=pass\r\n",
        b"Authentication-Results:\r\n\tmx.us.test;\r\n spf=pass\r\n",
        b"Authentication-Results: (a (nested) comment) mx.us.test (x); spf=pass\r\n",
        b'Authentication-Results: "mx.us.test"; spf=pass\r\n',
        b'Authentication-Results: "mx.us.t\\est"; spf=pass\r\n',
        b"Authentication-Results: ;;; spf=pass\r\n",
        b"Authentication-Results: (unfinished mx.us.test; spf=pass\r\n",
    ],
)
def test_what_others_say_in_our_name_goes(forged: bytes) -> None:
    honest = b"Authentication-Results: mx.them.test; spf=pass\r\n"
    rest = b"Subject: x\r\n\r\nAuthentication-Results: mx.us.test; in the body\r\n"
    assert results.without_forged(forged + honest + rest, "mx.us.test") == honest + rest


@given(st.text(max_size=30), st.text(max_size=30))
def test_our_line_is_one_field_whatever_strangers_call_themselves(name: str, reason: str) -> None:
    known = Authentication("192.0.2.1", "x", Result.PASS, name, Spf(Result.FAIL, name, reason=reason), (Signature(Result.FAIL, name, name, name, name, reason),))
    raw = b"Return-Path: <>\r\nReceived: from x\r\nSubject: x\r\n\r\n"
    stamped = results.stamp(raw, Assessment(known, server="mx.us.test"))
    assert stamped.startswith(b"Return-Path: <>\r\nAuthentication-Results: mx.us.test;\r\n\tiprev=pass")
    line = stamped[len(b"Return-Path: <>\r\n") : stamped.index(b"Received:")]
    assert all(part[:1] == b"\t" for part in line.split(b"\r\n")[1:-1])
    assert results.identity(line.partition(b":")[2]) == "mx.us.test"


def test_the_name_of_an_address_leads_back_to_it() -> None:
    zone: Zone = {("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.test"], ("mx.example.test", "A"): ["192.0.2.1"], ("2.2.0.192.in-addr.arpa", "PTR"): ["mx.example.test"]}
    assert ask(iprev.check("192.0.2.1"), zone) == (Result.PASS, "mx.example.test")
    assert ask(iprev.check("::ffff:192.0.2.1"), zone) == (Result.PASS, "mx.example.test")
    assert ask(iprev.check("192.0.2.2"), zone) == (Result.FAIL, "")
    assert ask(iprev.check("192.0.2.3"), zone) == (Result.FAIL, "")
