"""A backlog: mail to living servers while very much of it waits for dead ones.

It is measured beside itself: Postfix took eight minutes for a tenth of this in the one run that was made.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
from collections.abc import Iterator

from bench import corpus, figures, machine, nameserver, ours, programs, sink, smtp_load
from bench.parts import sending
from bench.parts.sending import Side
from bench.plan import Plan

SIZE = 2_000
PACKAGES = ("unbound",)
LIVING = 10
DEAD = 1_000
TOGETHER = 10
"""Recipients of one letter of the backlog, each at another destination."""
MOST_SLOWER = 10.0
MOST_MEMORY = 200.0
REFUSING = "127.30.0.1"


def measure(plan: Plan) -> figures.Part:
    """Measure how fast letters go to servers that live, without and with a backlog, and what the server weighs then."""
    copies = plan.amount(100_000, 10_000)
    part = figures.Part("backlog", "-", _rules(copies))
    absent = machine.missing_packages(*PACKAGES)
    if absent:
        part.skipped.append(absent)
        return part
    if not plan.ours:
        return part
    with (
        sink.running() as end,
        _silent() as silent,
        nameserver.running(plan.folder / "backlog-dns", _zone(end, silent)) as resolver,
        ours.running(plan.folder / "backlog", sending.OURS.format(resolver=resolver)) as server,
    ):
        (user,) = server.add_users("backlog", 1)
        side = Side(server.address("submissions"), user["Email"], ours.PASSWORD)
        alone, beside = _measure(plan, side, end, copies)
        weight = programs.weigh(server.process).resident
    part.figures += [
        figures.pair("to the living, nothing else queued", "/s", (alone, ())),
        figures.pair(f"to the living, {copies:,} queued for the dead", "/s", (beside, ())),
        figures.pair("slower by", "%", ([_slower(alone, beside)], ()), most=MOST_SLOWER),
        figures.pair("memory with the backlog", "MB", ([weight], ()), most=MOST_MEMORY),
    ]
    return part


def _rules(copies: int) -> list[str]:
    return [
        f"letters of 2 KB to {LIVING} domains whose MX is one sink, over 10 connections; the clock stops when the sink has the last one",
        f"then {copies:,} copies are queued for {DEAD:,} other domains, {TOGETHER} to a letter: half of their servers refuse connections,"
        " half never answer; the same letters again, at once",
        "submitted under TLS by a user who has signed in, and signed; memory is the resident set of the one process, at the end",
    ]


def _zone(end: sink.Sink, silent: str) -> dict[tuple[str, str], list[str]]:
    zone: dict[tuple[str, str], list[str]] = {("mx.sink.example", "A"): [end.address]}
    for number in range(LIVING):
        zone[f"sink{number}.example", "MX"] = ["10 mx.sink.example."]
    for number in range(DEAD):
        zone[f"dead{number}.example", "MX"] = [f"10 mx.dead{number}.example."]
        zone[f"mx.dead{number}.example", "A"] = [silent if number % 2 else REFUSING]
    return zone


@contextlib.contextmanager
def _silent() -> Iterator[str]:
    """Give an address at whose port 25 nobody ever answers: so many have called and not been let in that the system drops the others."""
    address = "127.30.0.2"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, 25))
        listener.listen(0)
        for _ in range(10):
            caller = stack.enter_context(socket.socket())
            caller.settimeout(0.5)
            try:
                caller.connect((address, 25))
            except TimeoutError:
                break
        else:
            raise programs.BenchError("every call to a server that should be silent was answered")
        yield address


def _measure(plan: Plan, side: Side, end: sink.Sink, copies: int) -> tuple[list[float], list[float]]:
    """Give letters a second to the living, without and with the backlog: in more runs than elsewhere, as the difference is small."""
    count, runs = plan.amount(2_000, 500), 2 * plan.runs + 1
    sending.once(side, end, count=count // 4, seed=1, size=SIZE)
    alone = [sending.once(side, end, count=count, seed=10 + run, size=SIZE) for run in range(runs)]
    _fill(side, copies)
    return alone, [sending.once(side, end, count=count, seed=20 + run, size=SIZE) for run in range(runs)]


def _fill(side: Side, copies: int) -> None:
    """Queue so many copies for the dead."""
    letters = []
    for number, raw in enumerate(corpus.letters(copies // TOGETHER, SIZE, seed=5, domain="dead0.example")):
        names = [f"somebody{number}@dead{(number * TOGETHER + at) % DEAD}.example" for at in range(TOGETHER)]
        letters.append(smtp_load.Letter(names[0], sending.written_by(side, raw), side.author, tuple(names[1:])))
    smtp_load.run(side.smtp, letters, login=sending.login(side))


def _slower(alone: list[float], beside: list[float]) -> float:
    """Give by how many per cent letters go slower beside the backlog."""
    return 100.0 * (1.0 - statistics.median(beside) / statistics.median(alone))
