"""The audit log: every API call in a journal, and in a journal of its own every request whose signature was refused.

So strangers who send one request after the other cannot push the records of those who have a key out of the files. What strangers send, and
every long request, is reduced to a record at once, as many of them may wait in memory while the disk takes nothing.
"""

import asyncio
from pathlib import Path

from postroom.api import audit
from postroom.api.exchange import Exchange
from postroom.server.journals.journal import Journal, Settings
from postroom.storage.engine import Store

NAME = "audit"
REFUSALS = "refusals"
WAIT_SECONDS = 5.0
"""How long an answer waits for the disk before it is given all the same."""
_LOOK_SECONDS = 0.02
LONG = 4096
"""Octets of a request that is no longer kept as it is."""


class AuditLog:
    """Takes calls that are over (`api.audit.Audit`)."""

    def __init__(self, store: Store, folder: Path, settings: Settings, *, region: str, account: str) -> None:
        self._store = store
        self._region = region
        self._account = account
        self._calls = Journal(folder, NAME, settings, lambda call: call if isinstance(call, bytes) else self._render(call))
        self._refusals = Journal(folder, REFUSALS, settings, bytes)

    def start(self) -> None:
        """Begin to write."""
        self._calls.start()
        self._refusals.start()

    def close(self, seconds: float) -> None:
        """Write all that has been taken."""
        self._calls.close(seconds)
        self._refusals.close(seconds)

    def note(self, exchange: Exchange) -> None:
        """Take a call; what only a reader has been given is not kept."""
        if exchange.caller is None:
            self._refusals.put(self._render((exchange, self._store.now())))
            return
        if exchange.answer is not None and not exchange.operation.writes:
            exchange.answer = None
        call = exchange, self._store.now()
        self._calls.put(call if exchange.octets <= LONG else self._render(call))

    @property
    def crowded(self) -> bool:
        """Say whether answers should wait."""
        return self._calls.crowded

    async def room(self) -> None:
        """Wait until there is room again, or for some seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + WAIT_SECONDS
        while self.crowded and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)

    def _render(self, call: tuple[Exchange, float]) -> bytes:
        return audit.record(*call, self._region, self._account)
