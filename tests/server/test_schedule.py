import asyncio

import pytest

from postroom.server.schedule import Job, Schedule, run_once
from postroom.storage.queries import leases
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


async def test_a_failing_job_is_tried_again(store, organization):
    runs: list[int] = []
    again = asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(store, scope: int) -> int:
        runs.append(scope)
        if len(runs) == 2:
            loop.call_soon_threadsafe(again.set)
        raise RuntimeError("not today")

    schedule = Schedule(store, [Job("failing", run, 0.01)])
    schedule.start()
    await asyncio.wait_for(again.wait(), 10)
    await schedule.close()
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
