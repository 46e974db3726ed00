"""Receiving mail whose senders are checked by SPF, DKIM and DMARC, beside Postfix with OpenDKIM, OpenDMARC and policyd-spf and Dovecot."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import certificate, corpus, dkim, dovecot, figures, imap_wire, machine, milters, nameserver, ours, postfix, programs, smtp_load
from bench.plan import Plan

SIZE = 10_000
BOXES = 10
DOMAINS = 20
"""Under `example`, since OpenDKIM's resolver takes it upon itself that nothing is under `test` (RFC 6761)."""
PACKAGES = ("postfix", "dovecot-imapd", "dovecot-lmtpd", "opendkim", "opendmarc", "postfix-policyd-spf-python", "unbound")
RULES = [
    "letters of 10 KB from 20 domains, each with an RSA-2048 signature (relaxed/relaxed), SPF and DMARC p=reject, all of which pass;"
    " over 10 connections from 2 processes; the clock stops when IMAP STATUS shows the last one",
    "both sides ask the same Unbound, which has the records in memory",
    "ours: 250 after the fsync of the letter in its mailbox",
]
OURS = """
[api]
listen = ["127.0.0.1:8080"]

[smtp]
listen = ["127.0.0.1:2525"]
hostname = "mx.bench.test"

[imap]
listen = ["127.0.0.1:2143"]
listen_tls = ["127.0.0.1:2993"]

[managesieve]
listen = []

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
    """Where letters go in, and whose mailboxes they end in."""

    smtp: programs.Address
    accounts: Sequence[imap_wire.Account]


def measure(plan: Plan) -> figures.Part:
    """Measure both sides."""
    part = figures.Part("inbound delivery with SPF, DKIM and DMARC", "Postfix + OpenDKIM + OpenDMARC + policyd-spf + Dovecot", list(RULES))
    absent = machine.missing_packages(*PACKAGES)
    if absent:
        part.skipped.append(absent)
        return part
    senders = [dkim.Signer(f"sender{number}.example") for number in range(DOMAINS)]
    own: list[float] = []
    peer: list[float] = []
    with nameserver.running(plan.folder / "strangers-dns", _zone(senders)) as resolver:
        if plan.ours:
            with _ours(plan, resolver) as side:
                own = _measure(plan, side, senders)
        if plan.peers:
            about = f"Postfix {postfix.version()}, {milters.versions()}, Dovecot {dovecot.version()} with mail_fsync=always"
            part.rules.append(f"peer: {about}")
            with _peer(plan, resolver) as side:
                peer = _measure(plan, side, senders)
    part.figures.append(figures.pair(f"to {BOXES} mailboxes, end to end", "/s", (own, peer), least_ratio=2))
    return part


def _zone(senders: Sequence[dkim.Signer]) -> dict[tuple[str, str], list[str]]:
    zone: dict[tuple[str, str], list[str]] = {}
    for sender in senders:
        zone[sender.domain, "TXT"] = ["v=spf1 ip4:127.0.0.0/8 -all"]
        zone[sender.domain, "MX"] = [f"10 mx.{sender.domain}."]
        zone[f"mx.{sender.domain}", "A"] = ["127.0.0.1"]
        zone[f"_dmarc.{sender.domain}", "TXT"] = ["v=DMARC1; p=reject"]
        zone[f"{sender.selector}._domainkey.{sender.domain}", "TXT"] = [sender.record]
    return zone


@contextlib.contextmanager
def _ours(plan: Plan, resolver: str) -> Iterator[Side]:
    with ours.running(plan.folder / "strangers", OURS.format(resolver=resolver)) as server:
        users = server.add_users("strangers", BOXES)
        yield Side(server.address("smtp"), [imap_wire.Account(server.address("imaps"), user["Email"], ours.PASSWORD) for user in users])


@contextlib.contextmanager
def _peer(plan: Plan, resolver: str) -> Iterator[Side]:
    folder = plan.folder / "strangers-peer"
    with (
        dovecot.running(folder / "dovecot") as store,
        milters.verifying(folder / "opendkim", resolver) as signatures,
        milters.dmarc(folder / "opendmarc", resolver) as policies,
    ):
        (folder / "postfix").mkdir(mode=0o755)
        settings = {
            "smtpd_milters": f"{signatures}, {policies}",
            "smtpd_recipient_restrictions": "reject_unauth_destination, check_policy_service unix:private/policyd-spf",
        }
        services = milters.spf_policy(folder / "postfix")
        with postfix.running(folder / "postfix", store.lmtp, settings=settings, services=services, resolver=resolver) as smtp:
            yield Side(smtp, [imap_wire.Account(store.imaps, store.user(number), dovecot.PASSWORD) for number in range(BOXES)])


def _measure(plan: Plan, side: Side, senders: Sequence[dkim.Signer]) -> list[float]:
    watchers = [imap_wire.enter(account, certificate.client_context()) for account in side.accounts]
    count = plan.amount(1_000, 200)
    _once(side, watchers, senders, count=50, seed=20_000)
    _check(side)
    rates = [_once(side, watchers, senders, count=count, seed=20_000 + run) for run in range(1, plan.runs + 1)]
    for watcher in watchers:
        watcher.close()
    return rates


def _once(side: Side, watchers: Sequence[imap_wire.Client], senders: Sequence[dkim.Signer], *, count: int, seed: int) -> float:
    """Deliver `count` letters; give letters a second until all are visible."""
    domain = side.accounts[0].user.partition("@")[2]
    letters = []
    for number, raw in enumerate(corpus.letters(count, SIZE, seed=seed, domain=domain)):
        sender = senders[number % len(senders)]
        signed = sender.sign(raw.replace(b"sender.test", sender.domain.encode()))
        letters.append(smtp_load.letter(side.accounts[number % len(side.accounts)].user, signed, f"stranger@{sender.domain}"))
    before = imap_wire.total(watchers)
    accepted = smtp_load.run(side.smtp, letters)
    deadline = accepted.ended + 120.0
    while imap_wire.total(watchers) < before + count:
        if time.monotonic() > deadline:
            raise programs.BenchError(f"of {count} letters {imap_wire.total(watchers) - before} arrived within two minutes")
        time.sleep(0.02)
    return count / (time.monotonic() - accepted.started)


def _check(side: Side) -> None:
    """See in a letter that the side has checked what it is measured for: all three pass."""
    reader = imap_wire.enter(side.accounts[0], certificate.client_context(), b"INBOX")
    found = reader.command(b"FETCH 1 BODY.PEEK[HEADER]").lower()
    reader.close()
    for word in (b"spf=pass", b"dkim=pass", b"dmarc=pass"):
        if word not in found:
            raise programs.BenchError(f"a letter says nothing of {word.decode()}:\n{found.decode(errors='replace')[:3000]}")
