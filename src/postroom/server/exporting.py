"""Works on exports: a few at a time, each on a thread of its own, in one process at a time.

An export is taken with a lease, which is renewed as long as the work goes on. One whose process has died is taken up by another when its
lease is over, and at once where one process serves the store alone. The threads wait for networks, so they are none of the storage's.

What was last known of an export that is left for later is remembered: should its organization be deleted meanwhile, nobody can read any
more that there is an unfinished upload to be removed.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from postroom.jobs import exports as work
from postroom.jobs.exports import Places
from postroom.mailbox import exports
from postroom.model.errors import OrganizationNotFound, PostroomError
from postroom.model.exports import Export, Unreached
from postroom.server import aside
from postroom.storage.engine import Store
from postroom.storage.queries import leases

AT_ONCE = 2
"""Exports that a process works on: packing takes a processor."""
LOOK_SECONDS = 60.0
"""How often it is looked for exports that others have left, or that wait for their next try."""
RENEW_SECONDS = exports.LEASE_SECONDS / 4

log = structlog.get_logger("postroom.jobs")


class Exporter:
    """Takes up exports that are due, until it is closed."""

    def __init__(self, store: Store, places: Places, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._store = store
        self._places = places
        self._look_seconds = look_seconds
        self._holder = f"{leases.holder()}:{secrets.token_hex(4)}"
        self._announced: set[int] = set()
        self._woken = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._works: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._unfinished: dict[tuple[int, str], Export] = {}
        self._ending = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to listen and to work."""
        self._unsubscribe = self._store.notifier.on(exports.TOPIC, self._announce)
        self._task = asyncio.create_task(self._run(), name="exports")

    async def close(self, grace: float) -> None:
        """Stop: each export is left at its next part, or where it is when `grace` seconds are over."""
        self._unsubscribe()
        self._ending.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._works:
            await asyncio.wait(self._works.values(), timeout=grace)
        for task in list(self._works.values()):
            task.cancel()

    def _announce(self, scope: int) -> None:
        self._announced.add(scope)
        self._woken.set()

    async def _run(self) -> None:
        """Look everywhere at the start and every now and then, and where an export is announced at once."""
        await self._look_everywhere(alone=self._store.engine == "sqlite")
        while True:
            try:
                async with asyncio.timeout(self._look_seconds):
                    await self._woken.wait()
            except TimeoutError:
                await self._look_everywhere()
            self._woken.clear()
            while self._announced:
                await self._look(self._announced.pop())

    async def _look_everywhere(self, *, alone: bool = False) -> None:
        try:
            scopes = await self._store.run(self._store.scopes)
            for scope in scopes:
                await self._look(scope, alone=alone)
            self._abandon_without(scopes)
        except Exception:
            log.exception("exports_not_looked_for")

    def _abandon_without(self, scopes: Sequence[int]) -> None:
        """Leave nothing of exports whose organization was deleted while they waited."""
        for key, export in self._unfinished.items():
            if key[0] not in scopes and key not in self._works:
                self._works[key] = asyncio.create_task(self._abandon(key, export), name=f"export-{export.id}")

    async def _abandon(self, key: tuple[int, str], export: Export) -> None:
        try:
            async with self._slots:
                await aside.run(f"export-{export.id}", partial(work.abandon, export, self._places))
            del self._unfinished[key]
        except Unreached as error:
            log.warning("export_not_tidied", export=export.id, reason=str(error))
        finally:
            self._works.pop(key, None)

    async def _look(self, scope: int, *, alone: bool = False) -> None:
        """Take up what is due in an organization; `alone` says that no other process can be at work on it."""
        try:
            if alone:
                await self._store.transact(scope, exports.release_all)
            for id in await self._store.read(scope, exports.due):
                if (scope, id) not in self._works:
                    self._works[scope, id] = asyncio.create_task(self._work(scope, id), name=f"export-{id}")
        except PostroomError as error:  # one organization that cannot be opened is no reason to leave the others
            log.warning("exports_not_looked_for", scope=scope, reason=error.text)
        except Exception:
            log.exception("exports_not_looked_for", scope=scope)

    async def _work(self, scope: int, id: str) -> None:
        try:
            async with self._slots:
                if self._ending.is_set() or not await self._store.transact(scope, exports.take, id, self._holder):
                    return
                beating = asyncio.create_task(self._beat(scope, id))
                carry_on = partial(work.carry_on, self._store, scope, id, holder=self._holder, places=self._places, wanted=self._wanted)
                try:
                    await aside.run(f"export-{id}", carry_on)
                finally:
                    beating.cancel()
                await self._remember(scope, id)
        except OrganizationNotFound:
            log.info("export_ended_with_its_organization", scope=scope, export=id)
        except Exception:
            log.exception("export_failed", scope=scope, export=id)
        finally:
            self._works.pop((scope, id), None)

    async def _remember(self, scope: int, id: str) -> None:
        found = await self._store.read(scope, exports.find, id)
        if found is not None and found.upload is not None:
            self._unfinished[scope, id] = found
        else:
            self._unfinished.pop((scope, id), None)

    async def _beat(self, scope: int, id: str) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._store.transact(scope, exports.keep, id, self._holder)
            except Exception:
                log.exception("export_lease_not_renewed", scope=scope, export=id)

    def _wanted(self) -> bool:
        return not self._ending.is_set()
