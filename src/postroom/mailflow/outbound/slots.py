"""Places for connections that carry mail, given out in order of asking."""

import asyncio
from collections import deque


class Slots:
    """So many places."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def wanted(self) -> bool:
        """Say whether somebody waits for a place."""
        return any(not future.done() for future in self._queue)

    async def take(self) -> None:
        """Wait for a place."""
        if self._free > 0 and not self._queue:
            self._free -= 1
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a place to who has waited longest."""
        while self._queue:
            future = self._queue.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
