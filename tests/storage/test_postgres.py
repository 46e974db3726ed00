"""PostgreSQL: settings of others, connections that end."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from postroom.model import errors
from postroom.storage import keys
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import counters, organizations
from tests.conftest import ENGINES, POSTGRES_DSN, make_organization

pytestmark = pytest.mark.skipif("postgresql" not in ENGINES, reason="no PostgreSQL")

SETTINGS = {
    "synchronous_commit": "off",
    "default_transaction_isolation": "repeatable read",
}


@pytest.fixture
def administrator() -> Iterator[Any]:
    """A connection of the database's administrator."""
    import psycopg

    with psycopg.connect(POSTGRES_DSN, autocommit=True) as connection:
        yield connection


@pytest.fixture
def database(administrator: Any) -> Iterator[str]:
    """A database of its own."""
    name = f"postroom_test_{secrets.token_hex(6)}"
    administrator.execute(f"CREATE DATABASE {name}")
    yield name
    administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")


def opened(database: str, folder: Path) -> Store:
    """Open the store of a database."""
    from postroom.storage import postgres

    dsn = POSTGRES_DSN.replace("dbname=postgres", f"dbname={database}")
    return postgres.open_store(dsn, folder, keys.LocalKeyring(folder / "keyring.json"))


def end_all(administrator: Any, database: str) -> None:
    """End every connection to a database, as a restart of the server would."""
    administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))


async def test_commits_are_durable_and_follow_each_other_whatever_the_database_says(
    administrator: Any, database: str, tmp_path: Path
) -> None:
    opened(database, tmp_path).close()  # makes the schema
    for name, value in SETTINGS.items():
        administrator.execute(f"ALTER DATABASE {database} SET {name} = '{value}'")
    one, other = opened(database, tmp_path), opened(database, tmp_path)
    try:
        number = make_organization(one).number
        assert await one.transact(number, lambda tx: tx.one("SHOW synchronous_commit")) == ("on",)
        writes = (store.transact(number, counters.next, "a") for _ in range(50) for store in (one, other))
        assert sorted(await asyncio.gather(*writes)) == list(range(1, 101))
    finally:
        one.close()
        other.close()


async def test_waiting_for_a_standby_too_is_left_alone(administrator: Any, database: str, tmp_path: Path) -> None:
    administrator.execute(f"ALTER DATABASE {database} SET synchronous_commit = 'remote_apply'")
    store = opened(database, tmp_path)
    try:
        number = make_organization(store).number
        assert await store.read(number, lambda tx: tx.one("SHOW synchronous_commit")) == ("remote_apply",)
    finally:
        store.close()


async def test_connections_that_ended_while_idle_cost_nobody_an_answer(administrator: Any, database: str, tmp_path: Path) -> None:
    store = opened(database, tmp_path)
    try:
        number = make_organization(store).number

        def slow(tx: Tx) -> tuple[Any, ...] | None:
            return tx.one("SELECT pg_sleep(0.1)")

        await asyncio.gather(*(store.read(number, slow) for _ in range(6)))
        end_all(administrator, database)
        for _ in range(3):
            await store.read(number, slow)
            await store.transact(number, counters.next, "a")
    finally:
        store.close()


async def test_what_was_acknowledged_outlives_the_connections(administrator: Any, database: str, tmp_path: Path) -> None:
    store = opened(database, tmp_path)
    acknowledged: list[int] = []
    refused = 0

    def write(tx: Tx, n: int) -> None:
        tx.run("INSERT INTO counters (organization, name, value) VALUES (:organization, :name, 1)", name=f"n{n}")
        tx.one("SELECT pg_sleep(0.002)")

    async def writer(first: int) -> None:
        nonlocal refused
        for n in range(first, first + 40):
            try:
                await store.transact(number, write, n)
            except Exception:
                refused += 1
            else:
                acknowledged.append(n)

    try:
        number = make_organization(store).number
        writing = [asyncio.create_task(writer(1000 * at)) for at in range(8)]
        for _ in range(5):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(end_all, administrator, database)
        await asyncio.gather(*writing)
        rows = await store.read(number, lambda tx: tx.all("SELECT name FROM counters WHERE organization = :organization"))
        assert {f"n{n}" for n in acknowledged} <= {name for (name,) in rows}
        assert refused
        assert await store.transact(number, counters.next, "a") == 1
    finally:
        store.close()


async def test_processes_tell_each_other_what_has_changed(administrator: Any, database: str, tmp_path: Path) -> None:
    """Each hears of its own changes once, of others' too, and again after the server has ended the connections; each sees to its own work."""
    one, other = opened(database, tmp_path), opened(database, tmp_path)
    here: list[int] = []
    there: list[int] = []
    woken: list[int] = []

    def change(tx: Tx, folders: range) -> None:
        tx.changes.wake("queue")
        for folder in folders:
            tx.changes.add(7, folder)

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    async def insist(folder: int) -> None:
        while folder not in there:
            with suppress(Exception):
                await one.transact(number, change, range(folder, folder + 1))
            await asyncio.sleep(0.05)

    try:
        number = make_organization(one).number
        for store in (one, other):
            store.hear()
        one.notifier.subscribe(number, 7, here.append)
        other.notifier.subscribe(number, 7, there.append)
        other.notifier.on("queue", woken.append)
        await asyncio.wait_for(insist(1), 10)  # it may not listen yet
        await one.transact(number, change, range(100, 500))
        await until(lambda: set(range(100, 500)) <= set(there))
        assert sorted(folder for folder in here if folder >= 100) == list(range(100, 500))
        end_all(administrator, database)
        await asyncio.wait_for(insist(2), 20)
        assert woken == []
    finally:
        one.close()
        other.close()


async def test_what_another_process_deleted_is_not_written_to(database: str, tmp_path: Path) -> None:
    here, there = opened(database, tmp_path), opened(database, tmp_path)
    try:
        number = make_organization(here).number
        await there.transact(number, counters.next, "a")
        with here.transaction(REGISTRY) as tx:
            organizations.shred_key(tx, number)
        here.destroy(number)
        with pytest.raises(errors.PostroomError):
            await there.transact(number, counters.next, "a")
        with here.transaction(REGISTRY) as tx:
            assert tx.one("SELECT count(*) FROM counters WHERE organization = :number", number=number) == (0,)
    finally:
        here.close()
        there.close()
