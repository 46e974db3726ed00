"""Orders and renews certificates for as long as the server runs, one at a time, in one process at a time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import structlog

from postroom.server import aside
from postroom.server.acme.account import Refused
from postroom.server.acme.orders import Orders
from postroom.server.acme.transport import Interrupted

LOOK_SECONDS = 600.0
"""How often it is looked for names to order for."""

BUSY_SECONDS = 60.0
"""How soon it is looked again where another process was at work, or has died at it."""
CLOSE_SECONDS = 1.0
"""How long an order under way may take to be given up; what then still waits for an authority is left on its thread."""

log = structlog.get_logger("postroom.acme")


class Busy(Exception):
    """Another process is at work."""


class Renewal:
    """Looks at the start and every ten minutes; `shown` is awaited when there is something new to be shown."""

    def __init__(self, orders: Orders, shown: Callable[[], Awaitable[None]]) -> None:
        self._orders = orders
        self._shown = shown
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the web door is open already."""
        self._task = asyncio.create_task(self._run(), name="certificates")

    async def close(self) -> None:
        """Stop; an order under way is given up."""
        self._closing.set()
        self._orders.end()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task.cancel()

    async def _run(self) -> None:
        while not self._closing.is_set():
            pause = LOOK_SECONDS
            try:
                await self.look()
            except Interrupted:
                return
            except Busy:
                pause = BUSY_SECONDS
            except Exception:
                log.exception("certificates_not_looked_for")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.9, 1.1)):  # noqa: S311
                    await self._closing.wait()

    async def look(self) -> None:
        """Order what is due, and ask about what is not; raises Busy, Interrupted."""
        for name in await aside.run("certificates", self._orders.due):
            if await aside.run(f"certificate-{name}", partial(self._alone, self._orders.order, name)):
                await self._shown()
        for name in await aside.run("certificates", self._orders.to_ask):
            await aside.run(f"certificate-{name}", partial(self._alone, self._orders.ask, name))

    def _alone(self, work: Callable[[str], None], name: str) -> bool:
        """Do something for a name; tell whether it was done. Raises Busy."""
        with self._orders.alone() as taken:
            if not taken:
                raise Busy
            try:
                work(name)
            except Refused as error:
                log.debug("certificate_left", name=name, reason=str(error))
                return False
        return True
