"""Works off a backlog that a topic announces, when those whose answers wait have gone quiet.

Each page takes the organization's writer for some milliseconds, so a busy organization's backlog waits for a
pause; but not for ever, lest a search have ever more letters to read.
"""

import asyncio
from collections.abc import Callable

import structlog

from postroom.model.errors import OrganizationNotFound
from postroom.storage.engine import Store

QUIET_SECONDS = 0.4
"""How long nothing new must have come."""
PATIENCE_SECONDS = 15.0
"""After that much waiting the backlog is worked off all the same."""
PAUSE_SECONDS = 0.002
SHARE = 3.0
"""Under steady load the backlog pauses this many times as long as it works."""

log = structlog.get_logger("postroom.jobs")


class Backlog:
    """Runs `page(store, scope)` until it gives 0, for each organization that the topic names and once at the start."""

    def __init__(self, store: Store, topic: str, page: Callable[[Store, int], int]) -> None:
        self._store = store
        self._topic = topic
        self._page = page
        self._since: dict[int, float] = {}
        self._last = 0.0
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to listen and to work."""
        self._unsubscribe = self._store.notifier.on(self._topic, self._announced)
        self._task = asyncio.create_task(self._run(), name=f"backlog-{self._topic}")

    async def close(self) -> None:
        """Stop; the page under way is finished or rolled back by the store."""
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _announced(self, scope: int) -> None:
        self._last = asyncio.get_running_loop().time()
        self._since.setdefault(scope, self._last)
        self._work.set()

    async def _run(self) -> None:
        try:
            for scope in await self._store.run(self._store.scopes):
                self._announced(scope)
        except Exception:  # what is announced later is worked off all the same
            log.exception("backlog_failed", topic=self._topic)
        while True:
            await self._work.wait()
            self._work.clear()
            while self._since:
                patient = await self._quiet()
                await self._work_off(next(iter(self._since)), patient)

    async def _quiet(self) -> bool:
        """Wait for a pause; False when the oldest has waited too long for one."""
        now = asyncio.get_running_loop().time
        oldest = min(self._since.values())
        while now() - self._last < QUIET_SECONDS:
            if now() - oldest > PATIENCE_SECONDS:
                return False
            await asyncio.sleep(QUIET_SECONDS / 2)
        return True

    async def _work_off(self, scope: int, patient: bool) -> None:
        """Work off one organization's backlog; the patient give way as soon as somebody writes, the others take a share."""
        now = asyncio.get_running_loop().time
        began = self._since.pop(scope)
        started = now()
        try:
            while True:
                before = now()
                if not await self._store.run_aside(self._page, self._store, scope):
                    return
                if patient and self._last > started:
                    self._since.setdefault(scope, began)
                    return
                busy = now() - self._last < QUIET_SECONDS
                await asyncio.sleep(SHARE * (now() - before) if busy else PAUSE_SECONDS)
        except OrganizationNotFound:
            log.debug("backlog_ended_with_its_organization", topic=self._topic, scope=scope)
        except Exception:
            log.exception("backlog_failed", topic=self._topic, scope=scope)
