"""Runs the jobs: each on its own interval, in each organization, in one process at a time.

A job is a plain function of `postroom.jobs`. A lease in the organization's own store decides who runs it, so several
processes on one database share the work; a process that dies loses its lease with time.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from postroom.storage.engine import Store
from postroom.storage.queries import leases

log = structlog.get_logger("postroom.jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """`run(store, scope)` gives how many things it did; seconds between two runs."""

    name: str
    run: Callable[[Store, int], int]
    seconds: float


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
        """Run a job at its interval, spread by a tenth so that processes do not march in step."""
        while True:
            await asyncio.sleep(job.seconds * random.uniform(0.9, 1.1))  # noqa: S311
            try:
                await run_once(self._store, job)
            except Exception:
                log.exception("job_failed", job=job.name)


async def run_once(store: Store, job: Job) -> int:
    """Run a job in every organization whose lease is free; give how many things it did."""
    done = 0
    for scope in await store.run(store.scopes):
        try:
            if await store.transact(scope, leases.take, f"job/{job.name}", leases.holder(), job.seconds * 2):
                done += await store.run(partial(job.run, store, scope))
        except Exception:  # one organization that cannot be opened, or is just deleted, is no reason to leave the others
            log.exception("job_failed", job=job.name, scope=scope)
    if done:
        log.info("job_done", job=job.name, count=done)
    return done
