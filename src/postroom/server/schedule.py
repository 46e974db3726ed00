"""Runs the jobs: each on its own interval or once a night, in each organization, in one process at a time.

A job is a plain function of `postroom.jobs`. Two leases in the organization's own store decide who runs it. One lasts for two intervals,
or for 20 hours of a nightly job, and says whose job it is, so that several processes on one database share the work. The other says
that it is being run right now, also by somebody who was asked to (`postroom jobs run`); it is renewed while that goes on. A process that
dies loses its leases with time.

A job that deletes by age waits for a day when the clock has leapt (`policy.clock`), unless somebody asks for it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from postroom.policy import clock
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import leases

log = structlog.get_logger("postroom.jobs")


DAY = 86_400.0
RUNNING_SECONDS = 60.0
"""How long a run is taken to go on after the last sign of it."""
SPREAD_SECONDS = 600.0
"""Within what time nightly jobs begin, so that processes do not march in step."""
CATCH_UP_SECONDS = 900.0
"""How long after the start nightly jobs are run that were not in the last 20 hours: a server may be switched off every night."""


@dataclass(frozen=True, slots=True)
class Job:
    """`run(store, scope)` gives how many things it did; seconds between two runs.

    A nightly job begins at a time of day, in seconds after midnight, UTC. `text` says what it does, after "it"; `by_age` that it deletes
    what is old, and must be able to trust the clock.
    """

    name: str
    run: Callable[[Store, int], int]
    seconds: float
    text: str = ""
    at: float | None = None
    by_age: bool = False

    @property
    def lease_seconds(self) -> float:
        """Say for how long it is left to who ran it last: a nightly one not for the next night, since that process may have ended."""
        return self.seconds * 2 if self.at is None else self.seconds * 20 / 24

    def first_pause(self, now: float) -> float:
        """Give the seconds from the start to the first try; a nightly one finds its lease taken if it was run in the last night."""
        if self.at is None:
            return self.pause(now)
        return min(self.pause(now), CATCH_UP_SECONDS + random.uniform(0.0, SPREAD_SECONDS))  # noqa: S311

    def pause(self, now: float) -> float:
        """Give the seconds to wait for its next run, spread by a tenth or by ten minutes."""
        if self.at is None:
            return self.seconds * random.uniform(0.9, 1.1)  # noqa: S311
        return ((self.at - now) % DAY or DAY) + random.uniform(0.0, SPREAD_SECONDS)  # noqa: S311


class Claim(Enum):
    """Whether a job may be run here and now: it is ours, it is for others to run, it has to wait."""

    TAKEN = auto()
    OTHERS = auto()
    POSTPONED = auto()


class Schedule:
    """Keeps all jobs running until it is closed."""

    def __init__(self, store: Store, jobs: Sequence[Job]) -> None:
        self._store = store
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start one task per job."""
        self._tasks = [asyncio.create_task(self._loop(job), name=f"job-{job.name}") for job in self._jobs]

    async def close(self) -> None:
        """Stop; what a job has committed stays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _loop(self, job: Job) -> None:
        """Run a job whenever its time has come."""
        pause = job.first_pause(self._store.now())
        while True:
            await asyncio.sleep(pause)
            try:
                await run_once(self._store, job)
            except Exception:
                log.exception("job_failed", job=job.name)
            pause = job.pause(self._store.now())


async def run_once(store: Store, job: Job) -> int:
    """Run a job in every organization whose lease is free; give how many things it did."""
    done = 0
    for scope in await store.run(store.scopes):
        try:
            claim = await store.transact(scope, _claim, job)
            if claim is Claim.TAKEN:
                done += await _run(store, job, scope)
            elif claim is Claim.POSTPONED:
                log.warning("clock_has_leapt", job=job.name, scope=scope, postponed=clock.WAIT_SECONDS)
        except Exception:  # one organization that cannot be opened, or is just deleted, is no reason to leave the others
            log.exception("job_failed", job=job.name, scope=scope)
    if done:
        log.info("job_done", job=job.name, count=done)
    return done


async def run_in(store: Store, job: Job, scope: int) -> int | None:
    """Run a job in one organization; give how many things it did, None when another process is running it there."""
    return await _run(store, job, scope) if await store.transact(scope, _begin, job) else None


def _claim(tx: Tx, job: Job) -> Claim:
    """Take both leases of a job, unless it has to wait."""
    if not leases.take(tx, f"job/{job.name}", leases.holder(), job.lease_seconds):
        return Claim.OTHERS
    if job.by_age and not clock.is_steady(tx):
        return Claim.POSTPONED
    return Claim.TAKEN if _begin(tx, job) else Claim.OTHERS


def _begin(tx: Tx, job: Job) -> bool:
    """Take or renew the lease that says that a job is being run."""
    return leases.take(tx, f"running/{job.name}", leases.holder(), RUNNING_SECONDS)


async def _run(store: Store, job: Job, scope: int) -> int:
    renewing = asyncio.create_task(_renew(store, job, scope))
    try:
        return await store.run_aside(job.run, store, scope)
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await store.transact(scope, leases.release, f"running/{job.name}", leases.holder())


async def _renew(store: Store, job: Job, scope: int) -> None:
    while True:
        await asyncio.sleep(RUNNING_SECONDS / 3)
        await store.transact(scope, _begin, job)
