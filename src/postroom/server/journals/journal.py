"""Journals: records in files of JSON lines, written by a thread of their own, behind the work that they tell of.

Who puts a record waits for nothing. What has been put is written within a tenth of a second, and all of it before `close` returns. A disk
that does not take it is tried again each second; meanwhile records wait, up to a bound, and beyond that are counted as lost. A file that
has grown to its size is closed under the name of the moment, and the oldest are removed. Several processes may write to one folder.
"""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

import msgspec
import structlog
from prometheus_client import Counter

WRITTEN = Counter("postroom_journal_records", "Records written to a journal", ["journal"])
LOST = Counter("postroom_journal_lost", "Records that a journal had no room for", ["journal"])
GATHERING_SECONDS = 0.1
RETRY_SECONDS = 1.0
_BATCH = 2000

log = structlog.get_logger("postroom.journal")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a journal may take."""

    file_bytes: int = 64 * 1024 * 1024
    """The size at which a file is closed and the next one begun."""
    files: int = 10
    """How many closed files are kept; older ones are removed."""
    queued: int = 20_000
    """How many records may wait in memory while the disk does not take them."""


class Journal:
    """One journal; `render` turns what was put into lines, on the journal's thread."""

    def __init__(self, folder: Path, name: str, settings: Settings, render: Callable[[Any], bytes]) -> None:
        self._folder = folder
        self._name = name
        self._settings = settings
        self._render = render
        self._waiting: deque[Any] = deque()
        self._lines: list[bytes] = []
        self._woken = threading.Event()
        self._closing = threading.Event()
        self._file: IO[bytes] | None = None
        self._trouble = ""
        self._stuck = False
        self._thread = threading.Thread(target=self._run, name=f"journal-{name}", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, record: Any) -> bool:
        """Have a record written; False when there is no room for it. Called from any thread."""
        if len(self._waiting) >= self._settings.queued:
            LOST.labels(self._name).inc()
            return False
        self._waiting.append(record)
        if not self._woken.is_set():
            self._woken.set()
        return True

    @property
    def crowded(self) -> bool:
        """Say whether half of the room is taken, so that who can wait should."""
        return len(self._waiting) > self._settings.queued // 2

    def close(self, seconds: float) -> None:
        """Write what waits and end; what a disk does not take within so many seconds is lost."""
        self._closing.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        left = len(self._waiting) + len(self._lines)
        if left:
            LOST.labels(self._name).inc(left)
            log.error("journal_cut_short", journal=self._name, lost=left)

    def _run(self) -> None:
        while not (self._closing.is_set() and not self._waiting):
            self._woken.wait()
            self._closing.wait(GATHERING_SECONDS)
            self._woken.clear()
            if not self._write_all():
                break
        if self._file is not None:
            with suppress(OSError), closing(self._file):
                os.fsync(self._file.fileno())

    def _write_all(self) -> bool:
        """Write until nothing waits; False when the disk does not take it and there is no time for another attempt."""
        while self._waiting or self._lines:
            if not self._lines:
                taken = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                self._lines = list(self._rendered(taken))
            try:
                self._append(b"".join(self._lines))
            except OSError as error:
                self._note_trouble(error)
                if self._closing.is_set():
                    return False
                self._closing.wait(RETRY_SECONDS)
            else:
                WRITTEN.labels(self._name).inc(len(self._lines))
                self._lines = []
                self._note_trouble(None)
        return True

    def _rendered(self, taken: Iterable[Any]) -> Iterator[bytes]:
        for record in taken:
            try:
                yield self._render(record) + b"\n"
            except Exception:
                LOST.labels(self._name).inc()
                log.exception("record_not_rendered", journal=self._name)

    def _append(self, octets: bytes) -> None:
        """Write to the end of the file, all or nothing, and begin another if it is full; raises OSError when nothing is written."""
        with self._locked() as file:
            size = os.fstat(file.fileno()).st_size
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                octets = b"\n" + octets  # a program that was killed left a line unfinished
            try:
                view = memoryview(octets)
                while view:
                    view = view[file.write(view) :]
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise
            if size + len(octets) >= self._settings.file_bytes:
                self._close_full(file)

    def _locked(self) -> "_Lock":
        """Open and lock the current file, even if another process has just begun a new one."""
        while True:
            if self._file is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                self._file = os.fdopen(descriptor, "r+b", buffering=0)
            lock = _Lock(self._file)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                    return lock
            lock.release()
            self._file.close()
            self._file = None

    def _close_full(self, file: IO[bytes]) -> None:
        """Begin another file, or go on with this one where the disk does not let it: what is written must not be written again."""
        try:
            self._rotate(file)
        except OSError as error:
            if not self._stuck:
                log.error("journal_file_not_closed", journal=self._name, reason=error.strerror or str(error))
            self._stuck = True
        else:
            self._stuck = False

    def _rotate(self, file: IO[bytes]) -> None:
        os.fsync(file.fileno())
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        others = closed_files(self._folder, self._name)
        last = others[-1].stem.rpartition("-") if others else ("", "", "")
        number = int(last[2]) + 1 if last[0] == f"{self._name}-{moment}" else 0
        self._path.rename(self._folder / f"{self._name}-{moment}-{number:05d}.jsonl")
        for path in closed_files(self._folder, self._name)[: -self._settings.files]:
            path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._name}.jsonl"

    def _note_trouble(self, error: OSError | None) -> None:
        reason = error.strerror or str(error) if error is not None else ""
        if reason and reason != self._trouble:
            log.error("journal_not_written", journal=self._name, reason=reason)
        elif self._trouble and not reason:
            log.info("journal_written_again", journal=self._name)
        self._trouble = reason


class _Lock:
    """A file that no other process writes to."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        fcntl.flock(file, fcntl.LOCK_EX)

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_UN)


def folder(data: str) -> Path:
    """Give the folder of a server's journals, under its folder for all data."""
    return Path(data) / "logs"


def closed_files(folder: Path, name: str) -> list[Path]:
    """List the files of a journal that are no longer written to, oldest first."""
    return sorted(folder.glob(f"{name}-[0-9]*Z-[0-9]*.jsonl"))


def lines(folder: Path, name: str, *, since: float = 0.0) -> Iterator[bytes]:
    """Read a journal from its oldest line to the newest, beside the program that writes it.

    Files last written before `since` (epoch seconds) are passed over. A file that is closed meanwhile is read once.
    """
    current: IO[bytes] | None = None
    with suppress(FileNotFoundError):
        current = (folder / f"{name}.jsonl").open("rb")  # first, since it may be the next closed one
    seen: Sequence[os.stat_result] = [os.fstat(current.fileno())] if current else []
    for path in closed_files(folder, name):
        with suppress(FileNotFoundError), path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mtime >= since and not any(os.path.samestat(found, other) for other in seen):
                yield from file
    if current is not None:
        with current:
            yield from current
