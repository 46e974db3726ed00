"""Exports are taken up when they are asked for, and when their process has died."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from postroom.directory import organizations, registration, users
from postroom.jobs.export_folders import FolderUpload
from postroom.mailbox import exports
from postroom.model.exports import Export, ExportState, Unreached
from postroom.server import exporting as exporting_
from postroom.server.exporting import Exporter
from postroom.storage.engine import Store


@pytest.fixture
def root(store, organization, tmp_path: Path) -> Path:
    with store.transaction(organization.number) as tx:
        for name in ("alice", "bob"):
            registration.register(tx, users.create(tx, name=name, display_name=name).id, f"{name}@example.test")
    (tmp_path / "archive").mkdir()
    return tmp_path / "archive"


def start(tx, name: str) -> Export:
    return exports.start(tx, name, bucket="archive", prefix="mail", role_arn="", key_arn="", description=None)


@asynccontextmanager
async def exporting(store: Store, root: Path, look_seconds: float = 3600) -> AsyncIterator[Exporter]:
    exporter = Exporter(store, lambda export: FolderUpload(root, export.path), look_seconds=look_seconds)
    exporter.start()
    try:
        yield exporter
    finally:
        await exporter.close(10)


async def until_over(store: Store, scope: int, export: Export, meanwhile: Callable[[], None] = lambda: None) -> ExportState:
    async with asyncio.timeout(60):
        while (found := await store.read(scope, exports.get, export.id)).state is ExportState.RUNNING:
            meanwhile()
            await asyncio.sleep(0.02)
    return found.state


async def test_an_export_is_begun_as_soon_as_it_is_asked_for(store, organization, root):
    async with exporting(store, root):
        made = [await store.transact(organization.number, start, name) for name in ("alice", "bob")]
        assert [await until_over(store, organization.number, one) for one in made] == [ExportState.COMPLETED] * 2
    assert all((root / one.path).exists() for one in made)


async def test_the_export_of_a_dead_process_is_taken_up(store, organization, root, clock):
    """At once where one process serves the store alone, else when its lease is over."""
    made = await store.transact(organization.number, start, "alice")
    assert await store.transact(organization.number, exports.take, made.id, "a dead process")
    async with exporting(store, root, look_seconds=0.1):
        if store.engine == "postgresql":
            await asyncio.sleep(0.3)
            assert not (root / made.path).exists()
            clock.advance(exports.LEASE_SECONDS)
        assert await until_over(store, organization.number, made) is ExportState.COMPLETED


async def test_an_export_that_takes_long_is_kept(store, organization, root, clock, monkeypatch):
    """As long as its process lives, and for nobody who has it no more."""
    monkeypatch.setattr(exporting_, "RENEW_SECONDS", 0.02)
    made, go_on = await store.transact(organization.number, start, "alice"), threading.Event()

    class Slow(FolderUpload):
        def put(self, *args: Any) -> str:
            go_on.wait(30)
            return super().put(*args)

    def taken(tx) -> bool:
        exports.keep(tx, made.id, "another")
        return exports.take(tx, made.id, "another")

    def lease(tx) -> float:
        return tx.one("SELECT due_at FROM exports WHERE organization = :organization AND id = :id AND holder <> ''", id=made.id)[0]

    exporter = Exporter(store, lambda export: Slow(root, export.path), look_seconds=3600)
    exporter.start()
    try:
        async with asyncio.timeout(30):
            while not (root / "mail").exists():
                await asyncio.sleep(0.02)
            for _ in range(3):
                clock.advance(exports.LEASE_SECONDS / 2)
                while await store.read(organization.number, lease) < clock.now + exports.LEASE_SECONDS:
                    await asyncio.sleep(0.02)
                assert not await store.transact(organization.number, taken)
        go_on.set()
        assert await until_over(store, organization.number, made) is ExportState.COMPLETED
    finally:
        go_on.set()
        await exporter.close(10)


async def test_an_organization_that_is_deleted_while_its_export_waits(store, organization, root, tmp_path):
    """The bucket's folder is full for a while: a part cannot be written."""
    made = await store.transact(organization.number, start, "alice")
    partial = root / "mail" / f".{made.id}.zip.partial"

    class Full(FolderUpload):
        def put(self, *_: object) -> str:
            raise Unreached("There is no room.")

    exporter = Exporter(store, lambda export: Full(root, export.path), look_seconds=0.1)
    exporter.start()
    try:
        async with asyncio.timeout(30):
            while not exporter._unfinished:
                await asyncio.sleep(0.02)
            assert partial.exists()
            await asyncio.to_thread(organizations.delete, store, organization, force=True)
            while partial.exists() or exporter._unfinished:
                await asyncio.sleep(0.02)
    finally:
        await exporter.close(10)


async def test_an_organization_that_cannot_be_opened_keeps_no_other_back(store, organization, root):
    """There is no organization of that number, which the store says only when it is asked for its key."""
    async with exporting(store, root) as exporter:
        exporter._announce(77)
        made = await store.transact(organization.number, start, "bob")
        assert await until_over(store, organization.number, made) is ExportState.COMPLETED
