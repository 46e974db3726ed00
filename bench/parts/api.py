"""The administration API beside moto's server: reads, lists and writes a second, and paging through a large directory."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench import figures, http_load, machine, moto, ours, population, signature
from bench.plan import Plan

PEOPLE = 100
RULES = [
    "16 connections from 2 processes, one request in flight on each; each request has a signature of its own, made beforehand",
    "ours: signature and IAM policy checked on each call, answers to writes after the fsync; moto: in memory, signature not checked",
]


def measure(plan: Plan) -> figures.Part:
    """Measure both sides."""
    part = figures.Part("administration API", "moto (IAM)", list(RULES))
    own = _ours(plan) if plan.ours else _Side()
    absent = machine.missing_moto()
    if plan.peers and absent:
        part.skipped.append(f"moto {absent}")
    peer = _moto(plan) if plan.peers and not absent else _Side()
    part.rules.append(f"generator's ceiling against a canned answer: {http_load.ceiling():,.0f}/s")
    part.figures += [
        figures.pair("DescribeUser | GetUser", "/s", (own.reads, peer.reads), least_ratio=12),
        figures.pair("ListUsers of 100 | ListUsers of 100", "/s", (own.lists, peer.lists), least_ratio=12),
        figures.pair("CreateUser, durable | CreateUser, in memory", "/s", (own.writes, peer.writes), least_ratio=5),
    ]
    if own.pages:
        part.figures += own.pages
    return part


class _Side:
    """Samples of one side, in requests a second."""

    __slots__ = ("lists", "pages", "reads", "writes")

    def __init__(self) -> None:
        self.reads: list[float] = []
        self.lists: list[float] = []
        self.writes: list[float] = []
        self.pages: list[figures.Figure] = []


def _ours(plan: Plan) -> _Side:
    side = _Side()
    with ours.running(plan.folder / "api") as server:
        users = server.add_users("reader", PEOPLE)
        reads = [server.request("DescribeUser", UserId=user["UserId"], shift=shift) for shift in _shifts(plan) for user in users]
        lists = [server.request("ListUsers", MaxResults=PEOPLE, shift=shift) for shift in _shifts(plan)]
        seconds = plan.amount(3, 1)
        for number in range(plan.runs):
            side.reads.append(http_load.run(server.target, reads, seconds=seconds).rate)
            side.lists.append(http_load.run(server.target, lists, seconds=seconds).rate)
            names = [f"writer{number}.{index:05d}" for index in range(plan.amount(3_000, 500))]
            writes = [server.request("CreateUser", Name=name, DisplayName=name.title()) for name in names]
            side.writes.append(http_load.run(server.target, writes).rate)
    side.pages = _paging(plan)
    return side


def _paging(plan: Plan) -> list[figures.Figure]:
    """Time pages of 100 in a directory of 1,000 users and in one of many more, in turn, each on one connection."""
    few, many = 1_000, plan.amount(100_000, 5_000)
    folders = [plan.folder / "few", plan.folder / "many"]
    for folder, total in zip(folders, (few, many), strict=True):
        with ours.running(folder):
            pass  # it makes the demo organization
        population.fill(folder, total)
    with ours.running(folders[0]) as small, ours.running(folders[1]) as large:
        walks = _walk(small), _walk(large)
        times = [[next(walk) for walk in walks] for _ in range(plan.amount(1_000, 100))][20:]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    name = f"ListUsers page at {few:,} users | at {many:,}"
    note = f"{medians[1] / medians[0]:.2f} times as long, aim 1.5; both columns are ours"
    return [figures.Figure(name, "s", (medians[0],), (medians[1],), note=note)]


def _walk(server: ours.Postroom) -> Iterator[float]:
    """Page through a directory, over and over; give the seconds of each page."""
    line = http_load.Line(server.target)
    token: str | None = None
    while True:
        parameters: dict[str, Any] = {"MaxResults": PEOPLE} | ({"NextToken": token} if token else {})
        request = server.request("ListUsers", **parameters)
        start = time.perf_counter()
        body = line.ask(request)
        yield time.perf_counter() - start
        token = json.loads(body).get("NextToken")


def _moto(plan: Plan) -> _Side:
    side = _Side()
    with moto.running(plan.folder) as address:
        target = http_load.Target(address)
        signer = signature.Signer(f"{address[0]}:{address[1]}", "iam", "testing", "testing")
        http_load.each(target, [signer.iam("CreateUser", {"UserName": f"reader{number:04d}"}) for number in range(PEOPLE)])
        reads = [signer.iam("GetUser", {"UserName": f"reader{number:04d}"}) for number in range(PEOPLE)]
        lists = [signer.iam("ListUsers", {"MaxItems": str(PEOPLE)})]
        seconds = plan.amount(3, 1)
        for _ in range(plan.runs):
            side.reads.append(http_load.run(target, reads, seconds=seconds).rate)
            side.lists.append(http_load.run(target, lists * 2, seconds=seconds).rate)
        for number in range(plan.runs):
            names = [f"writer{number}.{index:05d}" for index in range(plan.amount(500, 100))]
            side.writes.append(http_load.run(target, [signer.iam("CreateUser", {"UserName": name}) for name in names]).rate)
    return side


def _shifts(plan: Plan) -> Sequence[int]:
    return range(-20, 20, plan.amount(1, 4))
