"""Where the literals of all connections are kept while they come in: memory while there is some, files for the rest.

Every octet announced is reserved before the client is let send it, so what clients can make the server hold is bounded however many
they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO


class Allowance:
    """Bytes that all connections together may hold."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> bool:
        """Reserve bytes, if there are enough."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def give(self, size: int) -> None:
        """Return reserved bytes."""
        self.left += size


@dataclass(frozen=True, slots=True)
class Room:
    """Where literals are kept: what is left in memory and in spools, and how to open a spool."""

    memory: Allowance
    spools: Allowance
    spool: Callable[[], IO[bytes]]

    def literal(self, size: int, threshold: int) -> "Literal | None":
        """Make room for a literal, in a spool from `threshold` bytes on or when memory is short; None when there is none."""
        if size <= threshold and self.memory.take(size):
            return Literal(size, self.memory, None)
        if self.spools.take(size):
            return Literal(size, self.spools, self.spool())
        return None


class Literal:
    """A literal as it comes in: in memory, or in a spool."""

    __slots__ = ("_allowance", "_file", "_parts", "missing", "size")

    def __init__(self, size: int, allowance: Allowance, file: IO[bytes] | None) -> None:
        self.size = size
        self.missing = size
        self._allowance: Allowance | None = allowance
        self._file = file
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Add bytes."""
        self.missing -= len(data)
        if self._file is not None:
            self._file.write(data)
        else:
            self._parts.append(data)

    def read(self) -> bytes:
        """Give all bytes."""
        if self._file is not None:
            self._file.seek(0)
            return self._file.read()
        if len(self._parts) != 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0]

    def close(self) -> None:
        """Free the bytes; may be called again."""
        if self._allowance is not None:
            self._allowance.give(self.size)
            self._allowance = None
        if self._file is not None:
            self._file.close()
            self._file = None
        self._parts = []
