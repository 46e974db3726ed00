"""What becomes of letters on their way out: of seven bits, signed or sealed, as dkimpy sees them after a real walk through the house."""

from __future__ import annotations

import email
from collections.abc import Callable

import dkim as dkimpy
import pytest

from postroom.directory import dkim, domains
from postroom.formats import headers
from postroom.mailflow import inbound, srs, trace
from postroom.mailflow.assessment import Assessment
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.filters.filters import Filters
from postroom.mailflow.filters.settings import Settings as FilterSettings
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.screening import Arrival, Screening
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.dns import NameServer
from tests.mailflow.authentication.test_signatures import key
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import LIMITS, STRANGER, Raw, letter, receive, send
from tests.mailflow.test_sieve import activate
from tests.people import People

NOW = 1_790_000_000.0
EIGHT = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
SIGNED = (
    b'From: s@far.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; protocol="a/b"\r\n\r\n'
    + "--b\r\n\r\ngr\u00fc\u00dfe\r\n--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--\r\n".encode()
)


@pytest.fixture
def keys(store: Store, people: People, dns: tuple[NameServer, Resolver], clock: Clock) -> Callable[..., bytes]:
    """Publish the keys of example.test and of far.test; dkimpy asks this instead of the network."""
    clock.now = NOW
    with store.transaction(1) as tx:
        for selector, text in dkim.texts(tx, domains.get(tx, "example.test")).items():
            dns[0].add(f"{selector}._domainkey.example.test", "TXT", *[f'"{text[:200]}" "{text[200:]}"'])
    text = f"v=DKIM1; k=rsa; p={key(2048)[1]}"
    dns[0].add("s1._domainkey.far.test", "TXT", f'"{text[:200]}" "{text[200:]}"')
    dns[0].add("far.test", "TXT", '"v=spf1 ip4:192.0.2.1 -all"')
    dns[0].add("_dmarc.far.test", "TXT", '"v=DMARC1; p=reject"')

    def find(name: bytes, timeout: int = 5) -> bytes:
        texts = dns[0].records.get((name.decode().rstrip("."), "TXT"), [""])
        return texts[0].replace('" "', "").strip('"').encode()

    return find


async def come_in(
    store: Store, resolver: Resolver, raw: bytes, recipient: str, *, scope: int = 1, sender: str = "s@far.test", terms: Terms = USUAL
) -> Assessment:
    """Let a stranger's letter come in as it does by SMTP: trace lines before it, its sender found out, delivered."""
    head = trace.lines(
        sender=sender, recipients=[recipient], origin="x ([192.0.2.1])", host="mx.example.test", protocol="ESMTP", id="1", now=NOW
    )
    envelope = Envelope(sender, (recipient,), eight_bit=not raw.isascii())
    screening = Screening(Filters(FilterSettings(headers=False)), resolver=resolver, hostname="mx.example.test", now=lambda: NOW)
    assessment = await screening.assess(Arrival("192.0.2.1", "mx.far.test", envelope, Raw(head + raw), len(head), len(head + raw)))
    prepared = inbound.prepare(store, scope, envelope, Raw(head + raw), LIMITS, assessment)
    await store.transact(scope, inbound.deliver, envelope, prepared, assessment, terms=terms)
    return assessment


def by_far(raw: bytes) -> bytes:
    """Sign as far.test does."""
    names = [b"from", b"to", b"subject", b"content-type", b"content-transfer-encoding"]
    return bytes(dkimpy.sign(raw, b"s1", b"far.test", key(2048)[0], canonicalize=(b"relaxed", b"relaxed"), include_headers=names)) + raw


async def test_what_a_rule_sends_on_is_sealed_again_and_again(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    far = await open_elsewhere()
    dns[0].host("next.test")
    activate(store, people, "alice", 'require "editheader"; addheader "X-Read" "no"; redirect "x@next.test";')
    carrier = make_carrier(port=far.port)
    raw = by_far(b"From: s@far.test\r\nTo: alice@example.test\r\nSubject: hello\r\n\r\ntext\r\n")
    for count in (1, 2, 3):
        await come_in(store, dns[1], raw, "alice@example.test")
        await carrier.sweep()
        raw = far.got[-1][2]
        state, sets, reason = dkimpy.arc_verify(raw, dnsfunc=keys)
        assert (state, len(sets)) == (b"pass", count), reason
        assert dkimpy.verify(raw, dnsfunc=keys)
        assert b"X-Read: no" in raw
        assert len(headers.find_all(raw, "DKIM-Signature")) == 1
        told = headers.find_all(raw, "ARC-Authentication-Results")[0]
        assert b"dmarc=pass" in told
        assert (b" arc=pass" in told) is (count > 1)
        assert b"Return-Path" not in raw
        for line in (b"X-Sieve-Redirected-From", b"Delivered-To"):  # as it would go round in circles
            raw = raw.replace(line + b": alice@example.test\r\n", b"")
    changed = raw.replace(b"text", b"test")
    await come_in(store, dns[1], changed, "alice@example.test")
    await carrier.sweep()
    last = far.got[-1][2]
    assert b"cv=fail" in headers.find_all(last, "ARC-Seal")[0]
    assert dkimpy.arc_verify(last, dnsfunc=keys)[0] != b"pass"


async def test_a_bounce_that_goes_back_is_sealed_and_letters_for_here_are_not(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    far = await open_elsewhere()
    dns[0].host("far.test")
    with store.transaction(1) as tx:
        path = srs.forward(tx, "author@far.test", "example.test")
    await come_in(store, dns[1], by_far(b"From: daemon@far.test\r\n\r\nno such user\r\n"), path, sender="")
    await make_carrier(port=far.port).sweep()
    ((sender, recipients, raw),) = far.got
    assert (sender, recipients) == ("<>", ["author@far.test"])
    assert dkimpy.arc_verify(raw, dnsfunc=keys)[0] == b"pass"
    assert b"d=example.test" in headers.find_all(raw, "ARC-Seal")[0]


async def test_users_letters_leave_with_seven_bits_before_they_are_signed(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    far = await open_elsewhere()
    old = await open_elsewhere(host="127.0.0.2", port=far.port)
    old.answers = {"without": "8BITMIME SMTPUTF8"}
    dns[0].host("far.test")
    dns[0].host("old.test", "127.0.0.2")
    raw = letter(sender="alice@example.test", more=EIGHT) + "gr\u00fc\u00dfe und mehr\r\n".encode()
    send(store, people.actor("alice"), "x@far.test", "y@old.test", raw=raw)
    await make_carrier(port=far.port).sweep()
    for place in (far, old):
        ((_, _, got),) = place.got
        assert got.isascii()
        assert dkimpy.verify(got, dnsfunc=keys)
        assert email.message_from_bytes(got).get_payload(decode=True).decode() == "text of hello\r\ngr\u00fc\u00dfe und mehr\r\n"  # type: ignore[union-attr]
    assert far.got[0][2] == old.got[0][2]


async def test_messages_that_a_letter_carries_stay_as_they_are_where_that_can_be(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    far = await open_elsewhere()
    old = await open_elsewhere(host="127.0.0.2", port=far.port)
    old.answers = {"without": "8BITMIME SMTPUTF8"}
    dns[0].host("far.test")
    dns[0].host("old.test", "127.0.0.2")
    signed = by_far(b"From: s@far.test\r\n" + EIGHT.encode() + "\r\ngr\u00fc\u00dfe\r\n".encode())
    head = b"From: alice@example.test\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    send(store, people.actor("alice"), "x@far.test", "y@old.test", raw=head + signed)
    await make_carrier(port=far.port).sweep()
    for place, whole in ((far, True), (old, False)):
        ((_, _, got),) = place.got
        assert dkimpy.verify(got, dnsfunc=keys)
        carried = got.partition(b"\r\n\r\n")[2]
        assert (carried == signed) is whole
        assert dkimpy.verify(carried, dnsfunc=keys) is whole
    assert old.got[0][2].isascii()


async def test_strangers_letters_are_written_anew_only_for_servers_without_eight_bits(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    """Their signature breaks where it must, and the seal tells that it was good."""
    far = await open_elsewhere()
    old = await open_elsewhere(host="127.0.0.2", port=far.port)
    old.answers = {"without": "8BITMIME SMTPUTF8"}
    dns[0].host("next.test")
    dns[0].host("old.test", "127.0.0.2")
    activate(store, people, "alice", 'redirect "x@next.test"; redirect "y@old.test";')
    raw = by_far(b"From: s@far.test\r\nTo: alice@example.test\r\n" + EIGHT.encode() + "\r\ngr\u00fc\u00dfe und mehr\r\n".encode())
    await come_in(store, dns[1], raw, "alice@example.test")
    await make_carrier(port=far.port).sweep()
    new, seven = far.got[0][2], old.got[0][2]
    assert (new.isascii(), seven.isascii()) == (False, True)
    for got, whole in ((new, True), (seven, False)):
        assert dkimpy.arc_verify(got, dnsfunc=keys)[0] == b"pass"
        assert dkimpy.verify(got, dnsfunc=keys) is whole
        assert b"dkim=pass" in headers.find_all(got, "ARC-Authentication-Results")[0]
        assert email.message_from_bytes(got).get_payload(decode=True).decode() == "gr\u00fc\u00dfe und mehr\r\n"  # type: ignore[union-attr]


async def test_what_has_no_form_of_seven_bits_comes_back(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    old = await open_elsewhere()
    old.answers = {"without": "8BITMIME SMTPUTF8"}
    dns[0].host("old.test")
    dns[0].host("far.test")
    activate(store, people, "alice", 'redirect "y@old.test";')
    receive(store, "alice@example.test", sender="s@far.test", raw=b"Return-Path: <s@far.test>\r\n" + SIGNED, assessment=STRANGER)
    carrier = make_carrier(port=old.port)
    await carrier.sweep()
    await carrier.sweep()
    ((sender, recipients, raw),) = old.got
    assert (sender, recipients) == ("<>", ["s@far.test"])
    assert b"Status: 5.6.3" in raw
    del old.answers["without"]
    receive(store, "alice@example.test", sender="s@far.test", raw=b"Return-Path: <s@far.test>\r\n" + SIGNED, assessment=STRANGER)
    await carrier.sweep()
    assert old.got[-1][2].endswith(SIGNED.partition(b"\r\n\r\n")[2])


async def test_a_colleagues_letter_that_a_rule_has_changed_is_not_signed_for(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    far = await open_elsewhere()
    dns[0].host("next.test")
    carrier = make_carrier(port=far.port)
    for script in (
        'redirect "x@next.test";',
        'require "editheader"; deleteheader "Subject"; addheader "Subject" "You are fired"; redirect "x@next.test";',
    ):
        activate(store, people, "bob", script)
        send(store, people.actor("alice"), "bob@example.test")
        await carrier.sweep()
    assert [b"DKIM-Signature" in raw for _, _, raw in far.got] == [True, False]
    assert b"You are fired" in far.got[1][2]
