import asyncio
import threading
import time
from dataclasses import replace

import pytest

from postroom.server import background, schedule
from postroom.server.backlog import Backlog
from postroom.server.schedule import Job, Schedule, run_in, run_once
from postroom.server.settings import Settings
from postroom.storage.queries import leases
from postroom.storage.store import THREADS
from tests.conftest import make_organization


def counting(runs: list[int]) -> Job:
    def run(store, scope: int) -> int:
        runs.append(scope)
        return 1

    return Job("counting", run, 60.0)


async def test_a_job_runs_in_every_organization(store, organization):
    runs: list[int] = []
    assert await run_once(store, counting(runs)) == 1
    assert runs == [organization.number]


async def test_a_job_that_another_process_runs_is_left_to_it(store, organization, clock):
    runs: list[int] = []
    with store.transaction(organization.number) as tx:
        assert leases.take(tx, "job/counting", "another", 120.0)
    assert await run_once(store, counting(runs)) == 0
    clock.advance(121)
    assert await run_once(store, counting(runs)) == 1
    assert runs == [organization.number]


async def test_a_nightly_job_is_not_missed_when_who_ran_it_last_has_ended(store, organization, clock, monkeypatch):
    runs: list[int] = []
    nightly = replace(counting(runs), seconds=schedule.DAY, at=0.0)
    monkeypatch.setattr(leases, "holder", lambda: "another")
    assert await run_once(store, nightly) == 1
    monkeypatch.undo()
    clock.advance(schedule.SPREAD_SECONDS)
    assert await run_once(store, nightly) == 0  # not twice in a night
    clock.advance(schedule.DAY - 2 * schedule.SPREAD_SECONDS)
    assert await run_once(store, nightly) == 1


async def test_a_failing_job_is_tried_again(store, organization):
    runs: list[int] = []
    again = asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(store, scope: int) -> int:
        runs.append(scope)
        if len(runs) == 2:
            loop.call_soon_threadsafe(again.set)
        raise RuntimeError("not today")

    running = Schedule(store, [Job("failing", run, 0.01)])
    running.start()
    await asyncio.wait_for(again.wait(), 10)
    await running.close()
    ran = len(runs)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.05)
    assert len(runs) == ran


async def test_one_organization_that_fails_keeps_the_job_from_no_other(store, organization):
    other = make_organization(store, number=2, alias="other")
    runs: list[int] = []

    def run(store, scope: int) -> int:
        if scope == organization.number:
            raise RuntimeError("not here")
        runs.append(scope)
        return 1

    assert await run_once(store, Job("failing", run, 60.0)) == 1
    assert runs == [other.number]


async def test_what_is_being_run_is_not_run_twice_and_says_so_as_long_as_it_goes_on(store, organization, clock, monkeypatch):
    monkeypatch.setattr(schedule, "RUNNING_SECONDS", 0.2)

    def lease(scope: int) -> float:
        with store.transaction(scope, write=False) as tx:
            return max(row[0] for row in tx.all("SELECT expires_at FROM leases WHERE organization = :organization AND name = 'running/long'"))

    def run(store, scope: int) -> int:
        before = lease(scope)
        with store.transaction(scope) as tx:
            assert not leases.take(tx, "running/long", "another", 1.0)
        clock.advance(0.1)
        end = time.monotonic() + 10
        while lease(scope) == before:
            assert time.monotonic() < end, "not renewed"
        return 7

    assert await run_in(store, Job("long", run, 60.0), organization.number) == 7
    with store.transaction(organization.number) as tx:
        assert leases.take(tx, "running/long", "another", 1.0)
    assert await run_in(store, Job("long", run, 60.0), organization.number) is None


def test_a_nightly_job_waits_for_its_time_of_day():
    job = Job("nightly", lambda store, scope: 0, schedule.DAY, at=2.5 * 3600)
    midnight = 20_000 * schedule.DAY
    for hours, wait in ((0.0, 2.5), (2.0, 0.5), (2.5, 24.0), (3.0, 23.5), (23.5, 3.0)):
        pauses = [job.pause(midnight + hours * 3600) for _ in range(20)]
        assert min(pauses) >= wait * 3600
        assert max(pauses) <= wait * 3600 + schedule.SPREAD_SECONDS
    for hours, least, most in ((0.0, 900, 1500), (2.4, 360, 960), (12.0, 900, 1500)):
        pauses = [job.first_pause(midnight + hours * 3600) for _ in range(20)]
        assert min(pauses) >= least - 1
        assert max(pauses) <= most
    pauses = [Job("often", lambda store, scope: 0, 100.0).pause(midnight) for _ in range(20)]
    assert min(pauses) >= 90
    assert max(pauses) <= 110


async def test_jobs_that_take_long_leave_the_storage_threads_to_those_who_wait(store, organization):
    enough = threading.Event()
    begun = threading.Semaphore(0)

    def run(store, scope: int) -> int:
        begun.release()
        return int(enough.wait(30))

    jobs = [asyncio.create_task(run_in(store, Job(f"long {number}", run, 60.0), organization.number)) for number in range(THREADS)]
    backlog = Backlog(store, "topic", run)
    backlog.start()
    try:
        await asyncio.to_thread(begun.acquire)
        for _ in range(20):
            assert await asyncio.wait_for(store.read(organization.number, lambda tx: tx.organization), 20) == organization.number
        assert not any(job.done() for job in jobs)
    finally:
        enough.set()
    assert await asyncio.gather(*jobs) == [1] * THREADS
    await backlog.close()


async def test_a_job_that_deletes_by_age_waits_for_a_day_when_the_clock_has_leapt(store, organization, clock):
    runs: list[int] = []
    job = replace(counting(runs), by_age=True, seconds=3600.0)

    async def ran_after(seconds: float) -> bool:
        clock.advance(seconds)
        return await run_once(store, job) == 1

    assert await ran_after(0)
    assert await ran_after(47 * 3600)
    assert not await ran_after(365 * schedule.DAY)
    assert await run_once(store, counting(runs)) == 1  # who does not go by age goes on
    assert await run_in(store, job, organization.number) == 1  # somebody asks for it
    for hour in range(1, 24):
        assert not await ran_after(3600), hour
    assert await ran_after(3600)
    assert not await ran_after(-366 * schedule.DAY)
    assert not await ran_after(3600)
    assert await ran_after(schedule.DAY)
    assert await ran_after(-60)


def test_what_deletes_by_age_says_so():
    jobs = {job.name for job in background.jobs(Settings()) if job.by_age}
    assert jobs == {"purge-message-flow", "purge-mailboxes", "purge-exports", "purge-sending", "reports", "retention", "forget-changes"}
