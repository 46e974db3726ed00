"""A named pipe in the data folder, by which commands tell the server on an embedded store what they have changed beside it.

Whoever tells never waits and need not know whether anybody listens: without a listener the pipe cannot be opened for writing, and a line of
up to `PIPE_BUF` octets is put in whole or not at all. Where there is no room, a mark beside the pipe says that something was
missed. It is made before a second try, so that either that succeeds or the listener still has to read, and after each reading it looks for
the mark. What it cannot read, it takes for something missed as well, and begins anew.

A datagram socket would serve too, but its path must be short, and it holds few letters. Looking at the files every so often costs an idle
server something, and they do not tell its own commits from those of others.
"""

import errno
import os
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

OCTETS = 1 << 16
"""What is read at once: a whole pipe."""
AGAIN_SECONDS = 1.0
"""How long a pipe that could not be made or read is left alone."""
CLOSING_SECONDS = 1.0

log = structlog.get_logger("postroom.storage")


class Pipe:
    """Both ends of the pipe of a folder; a process uses one of them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "changes"
        self._mark = folder / "changes.missed"
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def listening(self) -> bool:
        """Whether this process has the listener's end."""
        return self._thread is not None

    def send(self, line: bytes) -> None:
        """Tell the listener, if there is one; raises `OSError` where that cannot be done."""
        if not self._put(line + b"\n"):
            os.close(os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._put(b"\n")

    def listen(self, hear: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        """Hear each line from now on, on a thread of its own, and when some may have been missed; for one process at a time."""
        self._thread = threading.Thread(target=self._listen, args=(hear, missed), name="storage-changes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and take the pipe away."""
        self._closed.set()
        if self._thread is not None:
            with suppress(OSError):
                self._put(b"\n")  # it waits for a line
            self._thread.join(CLOSING_SECONDS)

    def _put(self, line: bytes) -> bool:
        """Put a line in; False where there is no room. Without a listener there is nobody who could miss it."""
        if len(line) > select.PIPE_BUF:
            return False
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO):
                return True
            raise
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, line)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        finally:
            os.close(descriptor)
        return True

    def _listen(self, hear: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        while not self._closed.is_set():
            try:
                self._read(hear, missed)
            except Exception as error:  # a listener that ends would leave clients waiting for ever
                log.warning("changes_not_heard", reason=str(error))
                self._closed.wait(AGAIN_SECONDS)

    def _read(self, hear: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        self._path.unlink(missing_ok=True)
        os.mkfifo(self._path, 0o600)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)  # to write, too: so it never comes to its end
        try:
            missed()  # what was told while nobody listened
            rest = b""
            while not self._closed.is_set():
                *lines, rest = (rest + os.read(descriptor, OCTETS)).split(b"\n")
                if self._marked():
                    missed()
                for line in filter(None, lines):
                    hear(line)
                if len(rest) > select.PIPE_BUF:
                    raise ValueError("a line without an end")
        finally:
            os.close(descriptor)
            self._path.unlink(missing_ok=True)

    def _marked(self) -> bool:
        try:
            self._mark.unlink()
        except FileNotFoundError:
            return False
        return True
