"""The engine suite: what every engine must do."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from postroom.directory import organizations
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage import keys, sqlite
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import counters, leases
from postroom.storage.store import EngineStore, Session
from tests.conftest import Clock, make_organization
from tests.storage.conftest import Opening


def value(tx: Tx, name: str) -> int | None:
    row = tx.one("SELECT value FROM counters WHERE organization = :organization AND name = :name", name=name)
    return None if row is None else row[0]


def test_with_block_commits_at_its_end_and_rolls_back_on_error(store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        counters.next(tx, "a")

    def fail() -> None:
        with store.transaction(organization.number) as tx:
            counters.next(tx, "a")
            raise errors.OverQuota

    with pytest.raises(errors.OverQuota):
        fail()
    with store.transaction(organization.number, write=False) as tx:
        assert value(tx, "a") == 1
    with store.transaction(organization.number) as tx:
        assert counters.next(tx, "a") == 2


async def test_writers_that_wait_together_fail_alone(store: Store, organization: Organization) -> None:
    def write(tx: Tx, n: int) -> int:
        given = counters.next(tx, "a")
        if n % 3 == 0:
            raise errors.OverQuota
        return given

    results = await asyncio.gather(*(store.transact(organization.number, write, n) for n in range(60)), return_exceptions=True)
    failed = [result for result in results if isinstance(result, errors.OverQuota)]
    given = [result for result in results if isinstance(result, int)]
    assert len(failed) == 20
    assert sorted(given) == list(range(1, 41))
    assert await store.read(organization.number, value, "a") == 40


async def test_a_batch_shares_one_commit(store: Store, organization: Organization) -> None:
    """While the first write is held up, the others gather; all of them see the same time."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        entered.set()
        go_on.wait(10)

    first = asyncio.ensure_future(store.transact(organization.number, hold))
    await asyncio.to_thread(entered.wait, 10)
    transactions: list[int] = []
    waiting = [
        asyncio.ensure_future(store.transact(organization.number, lambda tx: transactions.append(id(tx._session))))  # type: ignore[attr-defined]
        for _ in range(10)
    ]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *waiting)
    assert len(transactions) == 10


async def test_readers_see_the_last_commit_and_cannot_write(store: Store, organization: Organization) -> None:
    await store.transact(organization.number, counters.next, "a")
    assert await store.read(organization.number, value, "a") == 1
    if store.engine == "postgresql":
        with pytest.raises(Exception, match="read-only"):
            await store.read(organization.number, counters.next, "a")


async def test_a_look_sees_the_last_commit_opened_or_not(store: Store, organization: Organization) -> None:
    """It changes nothing, leaves the readers usable when it fails, and does not wait for a write under way."""
    assert await store.look(organization.number, value, "a") is None
    await store.transact(organization.number, counters.next, "a")
    assert await store.look(organization.number, value, "a") == 1
    with pytest.raises(ZeroDivisionError):
        await store.look(organization.number, lambda tx: 1 // 0)
    entered, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> int:
        entered.set()
        go_on.wait(10)
        return counters.next(tx, "a")

    writing = asyncio.ensure_future(store.transact(organization.number, hold))
    await asyncio.to_thread(entered.wait, 10)
    assert await store.look(organization.number, value, "a") == 1
    go_on.set()
    assert await writing == 2


async def test_changes_are_told_after_the_commit_and_only_then(store: Store, organization: Organization) -> None:
    heard: list[int] = []
    woken: list[int] = []
    stop = store.notifier.subscribe(organization.number, 7, heard.append)
    store.notifier.on("queue", woken.append)

    def change(tx: Tx, *, fail: bool) -> None:
        tx.changes.add(7, 99 if fail else 1)
        tx.changes.wake("queue")
        if fail:
            raise errors.OverQuota

    with pytest.raises(errors.OverQuota):
        await store.transact(organization.number, change, fail=True)
    await store.transact(organization.number, change, fail=False)
    await asyncio.sleep(0.01)
    assert heard == [1]
    assert woken == [organization.number]
    with store.transaction(organization.number) as tx:
        tx.changes.add(7, 2)
    await asyncio.sleep(0.01)
    assert heard == [1, 2]
    stop()
    await store.transact(organization.number, change, fail=False)
    await asyncio.sleep(0.01)
    assert heard == [1, 2]


def test_scopes_do_not_see_each_other(store: Store, organization: Organization) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(organization.number) as tx:
        counters.next(tx, "a", 5)
    with store.transaction(other.number) as tx:
        assert counters.next(tx, "a") == 1
    assert store.scopes() == [1, 2]


def test_destroy_leaves_nothing_behind(store: Store, organization: Organization, tmp_path: Path) -> None:
    blob = store.blobs(organization.number).prepare(b"x" * 400_000)
    with store.transaction(organization.number) as tx:
        counters.next(tx, "a")
    with store.transaction(REGISTRY) as tx:
        tx.run("UPDATE organizations SET state = 'Deleted', wrapped_key = NULL WHERE number = 1")
    store.destroy(organization.number)
    assert blob.file is not None
    assert not [path for path in (tmp_path / "data").rglob("*") if path.name.startswith(("1.db", blob.file))]
    with pytest.raises(errors.OrganizationNotFound), store.transaction(organization.number):
        pass


def test_a_shredded_key_is_nowhere_in_the_registry(tmp_path: Path, clock: Clock) -> None:
    ring = keys.LocalKeyring(tmp_path / "keyring.json")
    store = sqlite.open_store(tmp_path / "data", ring, clock)
    deleted, kept = make_organization(store), make_organization(store, number=2, alias="other")
    with store.transaction(REGISTRY, write=False) as tx:
        wrapped = dict(tx.all("SELECT number, wrapped_key FROM organizations"))

    def found() -> tuple[bool, ...]:
        """Look for both keys in the file's pages, freed and half-filled ones too."""
        key = keys.derive(ring.registry_key(), "database").hex()
        with closing(sqlite._connect(str(tmp_path / "data" / "registry.db"), key)) as connection:
            pages = connection.serialize("main")
        return tuple(wrapped[organization.number] in pages for organization in (deleted, kept))

    assert found() == (True, True)
    organizations.delete(store, deleted, force=True)
    assert found() == (False, True)
    log = tmp_path / "data" / "registry.db-wal"
    assert log.stat().st_size < 64 * 1024, "of the pages as they were, the log keeps none"
    store.close()


async def test_who_waits_does_not_make_a_destroyed_organization_anew(store: Store, organization: Organization, tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> int:
        entered.set()
        go_on.wait(10)
        return counters.next(tx, "a")

    writes = [asyncio.ensure_future(store.transact(organization.number, hold))]
    await asyncio.to_thread(entered.wait, 10)
    writes.append(asyncio.ensure_future(store.transact(organization.number, counters.next, "a")))
    await asyncio.sleep(0)
    with store.transaction(REGISTRY) as tx:
        tx.run("UPDATE organizations SET state = 'Deleted', wrapped_key = NULL WHERE number = 1")
    destroying = asyncio.create_task(asyncio.to_thread(store.destroy, organization.number))
    await asyncio.sleep(0.05)
    go_on.set()
    first, second = await asyncio.gather(*writes, return_exceptions=True)
    await destroying
    assert first == 1
    assert second == 2 or isinstance(second, errors.TryLater)
    assert not list((tmp_path / "data").rglob("1.db*"))
    with pytest.raises(errors.OrganizationNotFound):
        await store.transact(organization.number, counters.next, "a")


async def test_who_opens_an_organization_while_it_is_destroyed_leaves_nothing(
    store: EngineStore, organization: Organization, tmp_path: Path, hold_openings: Callable[[EngineStore], Opening]
) -> None:
    store._open.pop(organization.number).close()
    opening = hold_openings(store)
    late = asyncio.ensure_future(store.transact(organization.number, counters.next, "a"))
    await asyncio.to_thread(opening.begun.wait, 10)
    await asyncio.to_thread(store.destroy, organization.number)
    opening.go_on.set()
    with pytest.raises(errors.OrganizationNotFound):
        await late
    assert not list((tmp_path / "data").rglob("1.db*"))


def test_an_organization_is_destroyed_while_letters_for_it_arrive(store: Store, organization: Organization) -> None:
    blobs, stop = store.blobs(organization.number), threading.Event()

    def write() -> None:
        while not stop.is_set():
            with suppress(OSError):
                blobs.prepare(os.urandom(300_000))

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        time.sleep(0.3)
        store.destroy(organization.number)
    finally:
        stop.set()
        for writer in writers:
            writer.join()


async def test_a_commit_that_fails_is_success_for_nobody(
    store: EngineStore, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who shared it hear that it failed, and the next commit has nothing of what they wrote."""
    await store.transact(organization.number, counters.next, "a")
    session = type(store._writer(store._open[organization.number]))

    def fail(self: Session) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(session, "commit", fail)
        lost = [store.transact(organization.number, counters.next, "a") for _ in range(3)]
        outcomes = await asyncio.gather(*lost, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [errors.TryLater] * 3
    assert await store.transact(organization.number, counters.next, "b") == 1
    assert await store.read(organization.number, value, "a") == 1


async def test_the_idle_are_closed_and_the_busy_are_not(
    store: EngineStore, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postroom.storage.store.OPEN_SCOPES", 2)
    entered, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> int:
        entered.set()
        go_on.wait(10)
        return counters.next(tx, "a")

    held = asyncio.ensure_future(store.transact(organization.number, hold))
    await asyncio.to_thread(entered.wait, 10)
    others = [make_organization(store, number=number, alias=f"other{number}").number for number in range(2, 6)]
    assert organization.number in store._open
    go_on.set()
    assert await held == 1
    for number in others * 2:
        assert await store.transact(number, counters.next, "a")
    assert not {organization.number, *others[:2]} & set(store._open)
    assert await store.read(organization.number, value, "a") == 1


async def test_closing_waits_for_who_is_writing(store: Store, organization: Organization) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> int:
        entered.set()
        go_on.wait(10)
        return counters.next(tx, "a")

    held = asyncio.ensure_future(store.transact(organization.number, hold))
    await asyncio.to_thread(entered.wait, 10)
    closing = asyncio.create_task(asyncio.to_thread(store.close))
    await asyncio.sleep(0.05)
    go_on.set()
    assert await held == 1
    await closing


async def test_closing_ends_work_of_many_transactions_between_two_of_them(store: Store, organization: Organization) -> None:
    begun = threading.Event()

    def work() -> None:
        while True:
            with store.transaction(organization.number) as tx:
                counters.next(tx, "a")
            begun.set()

    working = asyncio.create_task(store.run(work))
    await asyncio.to_thread(begun.wait, 10)
    await asyncio.wait_for(asyncio.to_thread(store.close), 10)
    with pytest.raises(errors.TryLater):
        await working


async def test_opening_one_organization_holds_up_no_other(
    store: EngineStore, organization: Organization, hold_openings: Callable[[EngineStore], Opening]
) -> None:
    """Opening may bring a large file's schema up to date; neither the event loop nor anybody else waits for that."""
    other = make_organization(store, number=2, alias="other")
    store._open.pop(other.number).close()
    opening = hold_openings(store)
    slow = asyncio.ensure_future(store.transact(other.number, counters.next, "a"))
    await asyncio.to_thread(opening.begun.wait, 10)
    asyncio.get_running_loop().call_later(2, opening.go_on.set)
    assert await store.transact(organization.number, counters.next, "a") == 1
    assert not opening.go_on.is_set()
    opening.go_on.set()
    assert await slow == 1


def test_a_commit_of_the_embedded_store_is_on_the_disk(tmp_path: Path, clock: Clock) -> None:
    """SQLite promises so much only of these two together."""
    store = sqlite.open_store(tmp_path / "data", keys.LocalKeyring(tmp_path / "keyring.json"), clock)
    organization = make_organization(store)
    for scope in (REGISTRY, organization.number):
        with store.transaction(scope) as tx:
            assert (tx.one("PRAGMA journal_mode"), tx.one("PRAGMA synchronous")) == (("wal",), (2,))
    store.close()


def test_two_programs_on_one_embedded_store_wait_for_each_other(tmp_path: Path, clock: Clock) -> None:
    ring = keys.LocalKeyring(tmp_path / "keyring.json")
    one, two = (sqlite.open_store(tmp_path / "data", ring, clock) for _ in range(2))
    organization = make_organization(one)
    with two.transaction(organization.number) as tx:
        counters.next(tx, "a")
    entered = threading.Event()

    def hold() -> None:
        with one.transaction(organization.number) as tx:
            entered.set()
            time.sleep(0.2)
            counters.next(tx, "a")

    holding = threading.Thread(target=hold)
    holding.start()
    entered.wait(10)
    with two.transaction(organization.number) as tx:
        assert counters.next(tx, "a") == 3
    holding.join()
    one.close()
    two.close()


def test_one_holder_has_a_lease_until_it_expires(store: Store, clock) -> None:  # type: ignore[no-untyped-def]
    def take(holder: str) -> bool:
        with store.transaction(REGISTRY) as tx:
            return leases.take(tx, "sweep", holder, 60)

    assert take("a")
    assert take("a")
    assert not take("b")
    clock.advance(61)
    assert take("b")
    with store.transaction(REGISTRY) as tx:
        leases.release(tx, "sweep", "b")
    assert take("a")


def test_a_lease_of_a_time_when_the_clock_was_wrong_keeps_nobody_out(store: Store, clock: Clock) -> None:
    def take(holder: str) -> bool:
        with store.transaction(REGISTRY) as tx:
            return leases.take(tx, "sweep", holder, 60)

    clock.advance(365 * 86_400)
    assert take("a")
    clock.advance(-86_400)
    assert not take("b")
    clock.advance(-364 * 86_400)
    assert take("b")
    assert not take("a")


def test_the_files_of_the_embedded_store_are_unreadable_without_the_key(store: Store, organization: Organization, tmp_path: Path) -> None:
    marker = b"a marker that must not be on the disk"
    store.blobs(organization.number).prepare(marker * 10_000)
    with store.transaction(organization.number) as tx:
        tx.run(
            "INSERT INTO blobs (organization, id, data) VALUES (:organization, 1, :data)",
            data=marker,
        )
    store.close()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if marker in path.read_bytes()]
