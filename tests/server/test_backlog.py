"""The backlog: everything that was announced is worked off, whoever writes meanwhile."""

import asyncio

import pytest
from structlog.testing import capture_logs

from postroom.directory import organizations
from postroom.model.organizations import Organization
from postroom.server import backlog
from postroom.server.backlog import Backlog
from postroom.storage.engine import Store, Tx
from postroom.storage.notifier import Changes


async def until(condition, seconds: float = 10.0) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(backlog, "PATIENCE_SECONDS", 0.1)


def announce(tx: Tx) -> None:
    tx.changes.wake("work")


@pytest.mark.usefixtures("quick")
async def test_what_waits_at_the_start_and_what_is_announced_later(store: Store, organization: Organization) -> None:
    waiting = [organization.number] * 5

    def page(_: Store, scope: int) -> int:
        if scope not in waiting:
            return 0
        waiting.remove(scope)
        return 1

    index = Backlog(store, "work", page)
    index.start()
    await until(lambda: not waiting)
    waiting += [organization.number] * 3
    await store.transact(organization.number, announce)
    await until(lambda: not waiting)
    await index.close()


@pytest.mark.usefixtures("quick")
async def test_steady_writers_do_not_hold_it_up_for_ever(store: Store, organization: Organization) -> None:
    done = 0

    def page(_: Store, scope: int) -> int:
        nonlocal done
        done += 1
        return 1 if done < 20 else 0

    index = Backlog(store, "work", page)
    index.start()

    async def write() -> None:
        while done < 20:
            await store.transact(organization.number, announce)

    await asyncio.wait_for(write(), 10)
    await index.close()
    assert done >= 20


@pytest.mark.usefixtures("quick")
async def test_a_failing_page_does_not_end_it(store: Store, organization: Organization) -> None:
    tried = 0

    def page(_: Store, scope: int) -> int:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise ZeroDivisionError
        return 0

    index = Backlog(store, "work", page)
    index.start()
    await until(lambda: tried == 1)
    await store.transact(organization.number, announce)
    await until(lambda: tried == 2)
    await index.close()


@pytest.mark.usefixtures("quick")
async def test_the_backlog_of_a_deleted_organization_is_no_failure(store: Store, organization: Organization) -> None:
    tried = 0

    def page(store: Store, scope: int) -> int:
        nonlocal tried
        tried += 1
        with store.transaction(scope):
            return 0

    index = Backlog(store, "work", page)
    await store.run(lambda: organizations.delete(store, organization, force=True))
    index.start()
    gone = Changes()
    gone.wake("work")
    with capture_logs() as logs:
        for round in (1, 2):
            store.notifier.publish(organization.number, [gone])
            await until(lambda round=round: tried == round)  # type: ignore[misc]
    await index.close()
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []
