"""Rows of the registry that every request needs, remembered for two seconds.

What this process changes it forgets at once; what another process changes is seen when the time is up.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

SECONDS = 2.0
MOST = 10_000


class Recent(Generic[Key, Value]):
    """A bounded map that forgets. A value read before a `forget` cannot be put after it."""

    def __init__(self) -> None:
        self._values: dict[Key, tuple[float, Value]] = {}
        self.generation = 0

    def find(self, key: Key) -> Value | None:
        """Find a value that is not too old."""
        found = self._values.get(key)
        if found is None or found[0] < time.monotonic():
            return None
        return found[1]

    def put(self, key: Key, value: Value, generation: int) -> None:
        """Remember a value that was read in a generation."""
        if generation != self.generation:
            return
        if len(self._values) >= MOST:
            self._values.clear()
        self._values[key] = (time.monotonic() + SECONDS, value)

    def forget(self) -> None:
        """Forget everything."""
        self.generation += 1
        self._values.clear()
