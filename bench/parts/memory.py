"""Memory with many waiting clients: what the whole program holds with 1,000 IMAP connections in IDLE."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection

from bench import certificate, dovecot, figures, imap_wire, machine, ours, programs
from bench.plan import Plan

USERS = 50
MOST = 150.0
RULES = [
    "connections with TLS, logged in, INBOX selected, in IDLE; 50 accounts; clients in another process; measured 2 s later",
    "ours: resident set of the one process; peer: proportional set of all its processes (shared pages counted once)",
]


def measure(plan: Plan) -> figures.Part:
    """Measure both sides, with implicit TLS and after STARTTLS."""
    part = figures.Part("memory", "Dovecot", list(RULES))
    count = plan.amount(1_000, 100)
    own = _ours(plan, count) if plan.ours else {}
    absent = machine.missing_packages("dovecot-imapd", "dovecot-lmtpd")
    if plan.peers and absent:
        part.skipped.append(absent)
    peer = _peer(plan, count) if plan.peers and not absent else {}
    for name, most in (("nobody connected", None), (f"{count:,} in IDLE", MOST), (f"{count:,} in IDLE after STARTTLS", MOST)):
        part.figures.append(figures.pair(name, "MB", (own.get(name, ()), peer.get(name, ())), most=most))
    return part


def _ours(plan: Plan, count: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for starttls in (False, True):
        with ours.running(plan.folder / f"memory-{starttls}") as server:
            users = [user["Email"] for user in server.add_users("waiting", USERS)]
            accounts = [imap_wire.Account(server.address("imap" if starttls else "imaps"), user, ours.PASSWORD, starttls) for user in users]
            found.setdefault("nobody connected", []).append(programs.weigh(server.process).resident)
            weight = _with_waiting(accounts, count, server.process)
            found[_name(count, starttls)] = [weight.resident]
    return found


def _peer(plan: Plan, count: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    with dovecot.running(plan.folder / "memory-peer") as server:
        found["nobody connected"] = [programs.weigh(server.process).proportional]
        accounts = [imap_wire.Account(server.imaps, server.user(number), dovecot.PASSWORD) for number in range(USERS)]
        for starttls in (False, True):
            chosen = [replace(account, address=server.imap, starttls=True) for account in accounts] if starttls else accounts
            found[_name(count, starttls)] = [_with_waiting(chosen, count, server.process).proportional]
    return found


def _name(count: int, starttls: bool) -> str:
    return f"{count:,} in IDLE after STARTTLS" if starttls else f"{count:,} in IDLE"


def _with_waiting(accounts: Sequence[imap_wire.Account], count: int, process: int) -> programs.Weight:
    """Weigh a server while `count` clients of another process wait in IDLE."""
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe()
    child = context.Process(target=_wait, args=(accounts, count, near, far), daemon=True)
    child.start()
    far.close()
    try:
        answer = near.recv() if near.poll(180.0) else "clients were not ready within three minutes"
        if answer:
            raise programs.BenchError(answer)
        time.sleep(2.0)
        return programs.weigh(process)
    finally:
        near.close()
        child.join(20.0)
        child.kill()


def _wait(accounts: Sequence[imap_wire.Account], count: int, near: Connection, parent: Connection) -> None:
    """Open the connections, say so, and hold them until the parent hangs up."""
    near.close()
    tls = certificate.client_context()

    def enter(number: int) -> imap_wire.Client:
        client = imap_wire.enter(accounts[number % len(accounts)], tls, b"INBOX")
        client.idle()
        return client

    try:
        with ThreadPoolExecutor(8) as pool:
            clients = list(pool.map(enter, range(count)))
    except (OSError, programs.BenchError) as error:
        parent.send(f"{type(error).__name__}: {error}")
        return
    parent.send("")
    parent.poll(60.0)
    for client in clients:
        client.close()
