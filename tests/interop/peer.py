"""What other people's mail servers have in common in these tests: a loopback address of their own, a log, and mailboxes kept as Maildir."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NOBODY = 65534


def loopback(port: int = 25) -> str:
    """Return a loopback address on which nothing listens at this port."""
    for _ in range(50):
        address = f"127.{random.randint(64, 250)}.{random.randint(0, 255)}.{random.randint(2, 250)}"
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind((address, port))
            return address
    raise PermissionError(f"no loopback address lets us listen on port {port}")


class Peer:
    """A server on port 25 of `address`, whose people have Maildirs under `mail` and whose log is in one file."""

    port = 25
    folder: Path
    address: str

    def log(self) -> str:
        """Return the server's log."""
        with suppress(FileNotFoundError):
            return (self.folder / "log").read_text(errors="replace")
        return ""

    def letters(self, person: str) -> list[bytes]:
        """Return what lies in somebody's mailbox, oldest first."""
        new = self.folder / "mail" / person / "new"
        files = sorted(new.iterdir(), key=lambda file: file.stat().st_mtime_ns) if new.is_dir() else []
        return [file.read_bytes() for file in files]

    def await_letter(self, person: str, *words: bytes, seconds: float = 30) -> bytes:
        """Return the first letter to somebody that has all these words."""
        found: list[bytes] = []

        def arrived() -> bool:
            found[:] = [letter for letter in self.letters(person) if all(word in letter for word in words)]
            return bool(found)

        self._await(arrived, f"no letter to {person} with {words!r}", seconds)
        return found[0]

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((self.address, self.port), 1):
            return True
        return False

    def _await(self, condition: Callable[[], bool], complaint: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{complaint} after {seconds:.0f} s:\n{self.log()[-6000:]}")
            time.sleep(0.05)
