"""Receiving mail beside Postfix handing to Dovecot by LMTP: letters a second from the first byte until the last is in its mailbox."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from bench import certificate, corpus, dovecot, figures, imap_wire, machine, ours, postfix, programs, smtp_load
from bench.parts import sending
from bench.plan import Plan

SIZE = 10_000
BOXES = 10
RULES = [
    "letters of 10 KB, all different, over 10 connections from 2 processes; the clock stops when IMAP STATUS shows the last one",
    "ours: 250 after the fsync of the letter in its mailbox",
    "neither side asks who sent a letter; `strangers` is the same where both do",
]
UNCHECKED = "\n[authentication]\nenabled = false\n"


def measure(plan: Plan) -> figures.Part:
    """Measure both sides, to ten mailboxes and to one."""
    part = figures.Part("inbound delivery", "Postfix + Dovecot", list(RULES))
    own = _ours(plan) if plan.ours else ([], [])
    absent = machine.missing_packages("postfix", "dovecot-imapd", "dovecot-lmtpd")
    if plan.peers and absent:
        part.skipped.append(absent)
    peer: tuple[list[float], list[float]] = ([], [])
    if plan.peers and not absent:
        part.rules.append(
            f"peer: Postfix {postfix.version()} syncs its queue (the default), Dovecot {dovecot.version()} sdbox with mail_fsync=always"
        )
        peer = _peer(plan)
    part.figures.append(figures.pair(f"to {BOXES} mailboxes, end to end", "/s", (own[0], peer[0]), least_ratio=3))
    part.figures.append(figures.pair("to one mailbox, end to end", "/s", (own[1], peer[1]), least_ratio=3))
    return part


def _ours(plan: Plan) -> tuple[list[float], list[float]]:
    with ours.running(plan.folder / "inbound", sending.OURS.format(resolver="127.0.0.1") + UNCHECKED) as server:
        users = server.add_users("inbound", BOXES)
        accounts = [imap_wire.Account(server.address("imaps"), user["Email"], ours.PASSWORD) for user in users]
        return _sides(plan, server.address("smtp"), accounts, seed=9_000)


def _peer(plan: Plan) -> tuple[list[float], list[float]]:
    folder: Path = plan.folder / "inbound-peer"
    with dovecot.running(folder / "dovecot") as store, postfix.running(folder / "postfix", store.lmtp) as smtp:
        accounts = [imap_wire.Account(store.imaps, store.user(number), dovecot.PASSWORD) for number in range(BOXES)]
        return _sides(plan, smtp, accounts, seed=9_000)


def _sides(plan: Plan, smtp: programs.Address, accounts: Sequence[imap_wire.Account], *, seed: int) -> tuple[list[float], list[float]]:
    context = certificate.client_context()
    watchers = [imap_wire.enter(account, context) for account in accounts]
    count = plan.amount(1_000, 200)
    _once(smtp, accounts, watchers, count=50, seed=seed)
    many = [_once(smtp, accounts, watchers, count=count, seed=seed + run) for run in range(1, plan.runs + 1)]
    one = [_once(smtp, accounts[:1], watchers[:1], count=count, seed=seed + 100 + run) for run in range(plan.runs)]
    for watcher in watchers:
        watcher.close()
    return many, one


def _once(
    smtp: programs.Address, accounts: Sequence[imap_wire.Account], watchers: Sequence[imap_wire.Client], *, count: int, seed: int
) -> float:
    """Deliver `count` letters; give letters a second until all are visible."""
    made = corpus.letters(count, SIZE, seed=seed, domain=accounts[0].user.partition("@")[2])
    letters = [smtp_load.letter(accounts[number % len(accounts)].user, raw) for number, raw in enumerate(made)]
    before = imap_wire.total(watchers)
    accepted = smtp_load.run(smtp, letters)
    deadline = accepted.ended + 120.0
    while imap_wire.total(watchers) < before + count:
        if time.monotonic() > deadline:
            raise programs.BenchError(f"of {count} letters {imap_wire.total(watchers) - before} arrived within two minutes")
        time.sleep(0.02)
    return count / (time.monotonic() - accepted.started)
