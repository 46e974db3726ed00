"""Signatures of ours, as others check them: dkimpy, Debian's OpenDKIM, and our own checks."""

import base64
import random
import subprocess
from pathlib import Path

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from postroom.directory import dkim, domains
from postroom.formats import headers
from postroom.jobs.dkim import make_keys
from postroom.mailflow import signing
from postroom.mailflow.assessment import UNKNOWN, Result, Signature
from postroom.mailflow.authentication import dkim as verification
from postroom.mailflow.resolver import Resolver
from postroom.policy import journaling
from postroom.server.dns import second_signatures
from postroom.storage.engine import Store
from postroom.storage.queries import dkim_keys
from tests.conftest import Clock
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import letter, receive, send
from tests.mailflow.test_sieve import activate
from tests.people import People

NOW = 1_790_000_000.0
OPENDKIM = Path("/usr/sbin/opendkim")
RSA = rsa.generate_private_key(65537, 2048)
EDWARDS = ed25519.Ed25519PrivateKey.generate()
KEYS = [
    signing.load(name, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())) for name, key in (("r", RSA), ("e", EDWARDS))
]
TEXTS = {
    "r._domainkey.xn--exmple-cua.test": "v=DKIM1; k=rsa; p="
    + base64.b64encode(RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
    "e._domainkey.xn--exmple-cua.test": "v=DKIM1; k=ed25519; p="
    + base64.b64encode(EDWARDS.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
}
DOMAIN = "xn--exmple-cua.test"


def generated(seed: int) -> bytes:
    """A letter of many oddities: folds, trailing blanks, 8 bits, repeated fields, no body, lines that are empty or blank at its end."""
    dice = random.Random(seed)
    words = ["a", "b  c", "\tx", "caf\u00e9", "\u2603", "d \t ", "..", "=3D", "  "]
    phrase = lambda: " ".join(dice.choices(words, k=dice.randint(1, 5)))  # noqa: E731
    fold = lambda: dice.choice(["\r\n ", "\r\n\t", " ", "\r\n   "])  # noqa: E731
    lines = [f"From: {dice.choice(['M', chr(252)])} <m@ex\u00e4mple.test>", f"To:{fold()}x@far.test,{fold()}y@far.test", f"Subject: s{fold()}{phrase()}z"]
    lines += dice.choices(["Date: Thu, 1 Jan 2026 00:00:00 +0000  ", "MIME-Version:1.0", "X-Other: 1", "References: <a@b>\r\n\t<c@d>", "CC:", "To: again@far.test"], k=4)
    dice.shuffle(lines)
    body = "".join(f"{phrase()}{dice.choice(['', ' ', chr(9)])}\r\n" for _ in range(dice.choice([0, 0, 1, 5, 40])))
    ending = dice.choice(["", "\r\n" * 3, " \r\n\r\n", "no end", " "])
    return "\r\n".join([*lines, "", body + ending]).encode()


def signed(raw: bytes) -> bytes:
    """A signed letter as it is on the wire, where its last line has an end."""
    return signing.fields(raw, DOMAIN, KEYS, NOW) + raw + (b"" if raw.endswith(b"\r\n") else b"\r\n")


def checked(raw: bytes) -> tuple[Signature, ...]:
    """What our own check says, of both keys: dkimpy knows Ed25519 only beside a library that is not here."""
    check = verification.verify(verification.Letter(raw), NOW)
    query = next(check)
    while True:
        try:
            query = check.send([TEXTS[query.name]])
        except StopIteration as end:
            return tuple(end.value)


def names(name: bytes, timeout: int = 5) -> bytes:
    return TEXTS.get(name.decode().rstrip("."), "").encode()


def test_dkimpy_believes_hundreds() -> None:
    for seed in range(300):
        raw = signed(generated(seed))
        assert dkimpy.verify(raw, dnsfunc=names), seed
        assert all(one.result is Result.PASS for one in checked(raw)), seed


@pytest.mark.skipif(not OPENDKIM.exists(), reason="Debian's opendkim is not installed")
def test_opendkim_believes_hundreds(tmp_path: Path) -> None:
    """It knows no Ed25519 in Debian's build, and passes that signature over."""
    (tmp_path / "keys").write_text("".join(f"{name} {text}\n" for name, text in TEXTS.items()))
    (tmp_path / "conf").write_text(f"Mode v\nTestDNSData {tmp_path}/keys\nSyslog no\n")
    files = []
    for seed in range(300):
        files.append(tmp_path / f"{seed}.eml")
        files[-1].write_bytes(signed(generated(seed)))
    command = [str(OPENDKIM), "-x", str(tmp_path / "conf"), "-vv", "-t", ",".join(map(str, files))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    good = [line for line in done.stdout.splitlines() if "verification (s=r" in line and "succeeded" in line]
    assert (len(good), done.returncode) == (300, 0), done.stdout[:2000] + done.stderr


@pytest.mark.parametrize("added", [b"From: other@evil.test\r\n", b"Subject: other\r\n", b"Reply-To: evil@evil.test\r\n", b"Content-Type: text/html\r\n"])
def test_nothing_shown_can_be_added(added: bytes) -> None:
    raw = letter(sender="m@ex\u00e4mple.test").partition(b"\r\n")[2]
    fields = signing.fields(raw, DOMAIN, KEYS, NOW)
    assert dkimpy.verify(fields + raw, dnsfunc=names)
    assert not dkimpy.verify(fields + added + raw, dnsfunc=names)
    assert not dkimpy.verify(fields + raw + b"more\r\n", dnsfunc=names)


def test_lines_are_short_and_times_stand_there() -> None:
    fields = signing.fields(generated(1), DOMAIN, KEYS, NOW)
    assert max(len(line) for line in fields.split(b"\r\n")) <= 78
    assert b"t=1790000000;" in fields
    assert b"l=" not in fields.replace(b"bl=", b"")[: fields.index(b"bh=")]


@pytest.mark.parametrize(
    ("line", "domain"),
    [
        (b"From: A <a@Example.Test>\r\n", "example.test"),
        (b"From: a@one.test, b@two.test\r\n", "one.test"),
        (b"From: a@one.test\r\nFrom: b@two.test\r\n", ""),
        (b"From: nobody\r\n", ""),
        (b"From: a@\xff.test\r\n", ""),
        (b"Subject: x\r\n", ""),
        ("From: a@ex\u00e4mple.test\r\n".encode(), DOMAIN),
    ],
)
def test_who_is_signed_for(line: bytes, domain: str) -> None:
    assert signing.author_domain(line + b"\r\ntext\r\n") == domain


def test_lone_line_ends_are_signed_as_they_are_sent() -> None:
    assert signing.even(b"a\rb\nc\r\n") == b"a\r\nb\r\nc\r\n"
    assert signing.even(b"a\r\nb") == b"a\r\nb"


# On the way out


def published(store: Store, scope: int = 1) -> dict[str, bytes]:
    found = {}
    with store.transaction(scope, write=False) as tx:
        for name in ("example.test", "example.postroom.test"):
            for selector, text in dkim.texts(tx, domains.get(tx, name)).items() if has(tx, name) else ():
                found[f"{selector}._domainkey.{name}."] = text.encode()
    return found


def has(tx: object, name: str) -> bool:
    try:
        domains.get(tx, name)  # type: ignore[arg-type]
    except Exception:
        return False
    return True


async def test_users_letters_leave_signed(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    clock.now = NOW  # dkimpy believes no signature of the future
    make_keys(store, 1)
    keys = published(store)
    far = await open_elsewhere()
    dns[0].host("far.test")
    dns[0].host("other.test")
    large = letter(sender="alice@example.test") + b"long line of text\r\n" * 20_000
    send(store, people.actor("alice"), "x@far.test", "y@other.test", raw=letter(sender="alice@example.test") + b".dots\r\n.\r\n\r\n")
    send(store, people.actor("alice"), "x@far.test", raw=large)
    await make_carrier(port=far.port).sweep()
    assert len(far.got) == 3
    for _, _, raw in far.got:
        assert dkimpy.verify(raw, dnsfunc=lambda name, timeout=5: keys.get(name.decode(), b"")), raw[:800]


async def test_both_keys_sign_once_the_second_is_seen(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    clock.now = NOW
    make_keys(store, 1)
    keys = published(store)
    far = await open_elsewhere()
    dns[0].host("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    assert second_signatures.look(store, 1, None) == 6
    clock.advance(6)
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    assert [raw.count(b"DKIM-Signature:") for _, _, raw in far.got] == [1, 2]
    check = verification.verify(verification.Letter(far.got[1][2]), clock.now)
    query = next(check)
    while True:
        try:
            query = check.send([keys[query.name + "."].decode()])
        except StopIteration as end:
            found = end.value
            break
    assert [(one.algorithm, one.result) for one in found] == [("rsa-sha256", Result.PASS), ("ed25519-sha256", Result.PASS)]
    assert dkimpy.verify(far.got[1][2], dnsfunc=lambda name, timeout=5: keys.get(name.decode(), b""))


async def test_a_new_domain_signs_with_its_first_letter(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    clock.now = NOW
    with store.transaction(1) as tx:
        dkim_keys.delete_all(tx, "example.test")
    far = await open_elsewhere()
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    keys = published(store)
    assert len(keys) == 1
    assert dkimpy.verify(far.got[0][2], dnsfunc=lambda name, timeout=5: keys.get(name.decode(), b""))
    assert make_keys(store, 1) == 2
    assert keys.items() < published(store).items()


async def test_domains_without_proof_do_not_sign(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    with store.transaction(1) as tx:
        domains.set_verification(tx, "example.test", ownership="FAILED", dkim="FAILED")
    clock.advance(6)
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    assert [raw.startswith(b"DKIM-Signature") for _, _, raw in far.got] == [True, False]


async def test_a_rotation_is_noticed_at_once(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    make_keys(store, 1)
    far = await open_elsewhere()
    dns[0].host("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    await store.transact(1, dkim.rotate, "example.test")
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    with store.transaction(1, write=False) as tx:
        tokens = domains.get(tx, "example.test").dkim_tokens
    found = [next(token for token in tokens if f"s={token};".encode() in raw) for _, _, raw in far.got]
    assert found == list(tokens[:2])


async def test_strangers_letters_are_not_signed_for(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    """Whoever writes a name of ours into a letter gets no signature for it by way of a rule that sends it on, whoever asks who that is."""
    make_keys(store, 1)
    far = await open_elsewhere()
    dns[0].host("next.test")
    activate(store, people, "alice", 'redirect "x@next.test";')
    raw = b"Return-Path: <>\r\nFrom: mailer-daemon@example.test\r\nSubject: forged\r\n\r\ntext\r\n"
    receive(store, "alice@example.test", sender="", raw=raw, assessment=UNKNOWN)
    receive(store, "alice@example.test", sender="a@far.test", raw=raw.replace(b"<>", b"<a@far.test>"))
    await make_carrier(port=far.port).sweep()
    assert [b"DKIM-Signature" in raw for _, _, raw in far.got] == [False, False]


async def test_what_is_ours_is_signed_wherever_it_comes_from(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    """A user's letter that another's rule sends on, automatic replies, records of journals and reports about letters."""
    clock.now = NOW
    make_keys(store, 1)
    keys = published(store)
    far = await open_elsewhere()
    for name in ("far.test", "next.test", "archive.test"):
        dns[0].host(name)
    with store.transaction(1) as tx:
        tx.run("UPDATE domains SET test = 1 WHERE organization = :organization")
        journaling.start(tx, "all@archive.test", "alice@example.test")
    activate(store, people, "alice", 'require "vacation"; vacation "away";')
    activate(store, people, "bob", 'require "reject"; if header "subject" "refused" { reject "no"; } else { redirect "x@next.test"; }')
    send(store, people.actor("alice"), "bob@example.test")
    receive(store, "alice@example.test", raw=letter(more="To: alice@example.test\r\n"))
    receive(store, "alice@example.test", "bob@example.test", raw=letter("refused"))
    await make_carrier(port=far.port).sweep()
    found = sorted((recipients[0], headers.find(raw, "From") or b"") for _, recipients, raw in far.got)
    assert [recipient for recipient, _ in found] == [*["all@archive.test"] * 3, *["stranger@far.test"] * 2, "x@next.test"]
    assert [author.rpartition(b"@")[0].rpartition(b"<")[2] for _, author in found[3:]] == [b"alice", b"mailer-daemon", b"alice"]
    for _, recipients, raw in far.got:
        assert dkimpy.verify(raw, dnsfunc=lambda name, timeout=5: keys.get(name.decode(), b"")), (recipients, raw[:600])
