"""Sending mail: submitted, signed with DKIM and carried to a sink, beside Postfix with OpenDKIM."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench import certificate, corpus, dkim, figures, machine, milters, nameserver, ours, postfix, programs, sink, smtp_load
from bench.plan import Plan

SIZE = 10_000
PACKAGES = ("postfix", "opendkim", "unbound")
DESTINATIONS = 10
RULES = [
    f"letters of 10 KB to {DESTINATIONS} domains whose MX is one sink without TLS, submitted over 10 connections from 2 processes;"
    " the clock stops when the sink has the last one",
    "ours: submitted under TLS by a user who has signed in, 250 after the fsync, signed by an RSA-2048 key of the domain and whatever other"
    " keys it has",
]
OURS = """
[api]
listen = ["127.0.0.1:8080"]

[smtp]
listen = ["127.0.0.1:2525"]

[submission]
listen = ["127.0.0.1:2587"]
listen_tls = ["127.0.0.1:2465"]
messages_per_minute_of_user = 10000000
recipients_per_minute_of_user = 10000000

[imap]
listen = ["127.0.0.1:2143"]
listen_tls = ["127.0.0.1:2993"]

[managesieve]
listen = []

[mail]
hostname = "mx.bench.example"

[allowance]
external = 1000000
organization = 1000000
test_domain = 1000000

[spikes]
enabled = false

[dns]
nameservers = ["{resolver}:53"]

[domains]
base = "postroom.test"
verify = false

[log]
level = "warning"
"""


@dataclass(frozen=True, slots=True)
class Side:
    """Where letters go in, who sends them, and with which password, if any."""

    smtp: programs.Address
    author: str
    password: str = ""


def measure(plan: Plan) -> figures.Part:
    """Measure both sides."""
    part = figures.Part("sending with DKIM", "Postfix + OpenDKIM", list(RULES))
    absent = machine.missing_packages(*PACKAGES)
    if absent:
        part.skipped.append(absent)
        return part
    own: list[float] = []
    peer: list[float] = []
    with sink.running() as end, nameserver.running(plan.folder / "sending-dns", _zone(end)) as resolver:
        if plan.ours:
            with _ours(plan, resolver) as side:
                own = _measure(plan, side, end)
        if plan.peers:
            part.rules.append(f"peer: Postfix {postfix.version()} and OpenDKIM, RSA-2048; without TLS or sign-in, its best case")
            with _peer(plan, resolver) as side:
                peer = _measure(plan, side, end)
    part.figures.append(figures.pair("submitted, signed, sent, end to end", "/s", (own, peer), least_ratio=1))
    return part


def _zone(end: sink.Sink) -> dict[tuple[str, str], list[str]]:
    zone: dict[tuple[str, str], list[str]] = {("mx.sink.example", "A"): [end.address]}
    for number in range(DESTINATIONS):
        zone[f"sink{number}.example", "MX"] = ["10 mx.sink.example."]
    return zone


@contextlib.contextmanager
def _ours(plan: Plan, resolver: str) -> Iterator[Side]:
    with ours.running(plan.folder / "sending", OURS.format(resolver=resolver)) as server:
        (user,) = server.add_users("sending", 1)
        yield Side(server.address("submissions"), user["Email"], ours.PASSWORD)


@contextlib.contextmanager
def _peer(plan: Plan, resolver: str) -> Iterator[Side]:
    folder = plan.folder / "sending-peer"
    folder.mkdir(mode=0o755)
    signer = dkim.Signer("bench.test")
    (folder / "key.pem").write_bytes(signer.pem)
    (folder / "key.pem").chmod(0o600)
    signing = milters.Signing(signer.domain, signer.selector, folder / "key.pem")
    with milters.signing(folder / "opendkim", resolver, signing) as milter:
        settings = {
            "smtpd_milters": milter,
            "mynetworks": "127.0.0.0/8",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
        }
        nowhere = ("127.0.0.1", 9)
        with postfix.running(folder / "postfix", nowhere, settings=settings, resolver=resolver) as smtp:
            yield Side(smtp, "author@bench.test")


def _measure(plan: Plan, side: Side, end: sink.Sink) -> list[float]:
    count = plan.amount(2_000, 300)
    for attempt in range(10):  # a domain's keys are made soon after the domain
        once(side, end, count=50, seed=40_000 + attempt)
        if b"dkim-signature" in end.last().lower():
            break
        time.sleep(1)
    else:
        raise programs.BenchError(f"a letter is not signed:\n{end.last()[:700].decode(errors='replace')}")
    return [once(side, end, count=count, seed=30_000 + run) for run in range(1, plan.runs + 1)]


def once(side: Side, end: sink.Sink, *, count: int, seed: int, size: int = SIZE, seconds: float = 180.0) -> float:
    """Send `count` letters; give letters a second until the sink has all."""
    letters = [
        smtp_load.Letter(f"somebody@sink{number % DESTINATIONS}.example", written_by(side, raw), side.author)
        for number, raw in enumerate(corpus.letters(count, size, seed=seed, domain="sink0.example"))
    ]
    before = end.count
    accepted = smtp_load.run(side.smtp, letters, login=login(side))
    end.await_count(before + count, seconds)
    return count / (time.monotonic() - accepted.started)


def written_by(side: Side, raw: bytes) -> bytes:
    """Give a letter of the corpus as its author would hand it in, ready for the wire."""
    head, _, body = raw.partition(b"\r\nFrom: ")
    written = head.partition(b"\r\nDate: ")[2]
    fresh = b"Date: %s\r\nFrom: %s\r\n%s" % (written, side.author.encode(), body.partition(b"\r\n")[2])
    return smtp_load.letter("", fresh).data


def login(side: Side) -> smtp_load.Login | None:
    """Give how a side wants its author to sign in."""
    return smtp_load.Login(certificate.client_context(), side.author, side.password) if side.password else None
