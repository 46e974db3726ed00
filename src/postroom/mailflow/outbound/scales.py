"""Hands out octets of memory in order of asking, so that large messages wait for one another and small ones for few."""

import asyncio
from collections import deque


class Scales:
    """So many octets; what weighs more than all of them is let in alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    def hold(self, weight: int) -> "Hold":
        """Hold that many octets for the time of an `async with`."""
        return Hold(self, min(weight, self._capacity))

    async def take(self, weight: int) -> None:
        """Wait for octets."""
        if not self._queue and weight <= self._free:
            self._free -= weight
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((weight, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back(weight)
            raise

    def give_back(self, weight: int) -> None:
        """Return octets and let in those who fit, in their order."""
        self._free += weight
        while self._queue and (self._queue[0][1].done() or self._queue[0][0] <= self._free):
            first, future = self._queue.popleft()
            if not future.done():
                self._free -= first
                future.set_result(None)


class Hold:
    """Octets held for the time of an `async with`."""

    def __init__(self, scales: Scales, weight: int) -> None:
        self._scales, self._weight = scales, weight

    async def __aenter__(self) -> None:
        await self._scales.take(self._weight)

    async def __aexit__(self, *_: object) -> None:
        self._scales.give_back(self._weight)
