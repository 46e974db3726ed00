"""Where the octets of an unfinished message wait: in memory while few, in an anonymous file when many.

All connections share one `Room`. When its memory is used up even small messages go to files, and when its disk
is used up `NoRoom` is raised, so that thousands of clients who never finish cannot exhaust either.
"""

import tempfile
from typing import IO

from postroom.protocols.smtp.settings import Settings


class NoRoom(Exception):
    """The server has no room for more message octets now."""


class Room:
    """How much of memory and disk the unfinished messages take, over all connections."""

    __slots__ = ("disk", "memory", "settings")

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.memory = 0
        self.disk = 0


class Spool:
    """The octets of one message, after `head`, the lines this server adds before them."""

    __slots__ = ("_file", "_held", "_memory", "_on_disk", "_room", "head", "size")

    def __init__(self, room: Room, head: bytes) -> None:
        self._room = room
        self._memory = bytearray(head)  # not a list of pieces, each of which weighs more than a few octets
        self._held = 0
        self._on_disk = 0
        self._file: IO[bytes] | None = None
        self.head = head
        self.size = 0

    def write(self, octets: bytes) -> None:
        """Add octets; raises `NoRoom`."""
        if not self.size and octets.startswith((b" ", b"\t")):
            octets = b"\r\n" + octets  # a letter that begins with a blank has no header; it must not go on with ours
        room, settings = self._room, self._room.settings
        few = self.size + len(octets) <= settings.spool_threshold
        if self._file is None and few and room.memory + len(octets) <= settings.memory_for_bodies:
            self._memory += octets
            self._held += len(octets)
            room.memory += len(octets)
        else:
            self._to_file(octets)
        self.size += len(octets)

    def read(self) -> bytes:
        """Give the whole message, the lines added before it included."""
        if self._file is None:
            return bytes(self._memory)
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Give everything back."""
        self._room.memory -= self._held
        self._room.disk -= self._on_disk
        self._held = self._on_disk = 0
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _to_file(self, octets: bytes) -> None:
        room = self._room
        growth = self._held + len(octets)
        if room.disk + growth > room.settings.spool_limit:
            raise NoRoom
        room.disk += growth
        self._on_disk += growth
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=room.settings.spool_folder or None)  # noqa: SIM115
                self._file.write(self._memory)
                room.memory -= self._held
                self._held = 0
                self._memory = bytearray()
            self._file.write(octets)
        except OSError as trouble:
            raise NoRoom from trouble
