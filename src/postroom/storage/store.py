"""The store: scopes, storage threads and group commit, the same for both engines.

Each scope has one writer and a few readers. A write joins the scope's queue; whichever storage thread is
free drains it: one BEGIN, every waiting function in its own savepoint, one COMMIT. Those that came during
the fsync form the next batch, so the batch grows with the load and a lonely writer waits for nobody. A
function that fails is rolled back alone. Results and notes go to the event loop after COMMIT, together.
"""

import asyncio
import shutil
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog

from postroom.model import errors
from postroom.storage import results
from postroom.storage.blobs import BlobStore
from postroom.storage.engine import REGISTRY, Tx
from postroom.storage.keys import KeyProvider
from postroom.storage.notifier import Changes, Notifier
from postroom.storage.results import Waiting
from postroom.storage.sessions import Engine, Row, Session

P = ParamSpec("P")
T = TypeVar("T")

BATCH = 128
"""Writes that share a COMMIT at the most."""
THREADS = 6
"""Storage threads: more would only wait for the interpreter."""
BACKGROUND_THREADS = 4
"""Threads for work that nobody waits for and that may take hours: so many pieces of it go on at once."""
READERS = 4
"""Read sessions kept open per scope."""
OPEN_SCOPES = 64
"""Organizations kept open at once; the idle ones beyond are closed."""

log = structlog.get_logger("postroom.storage")


class Transaction:
    """The `Tx` of both engines."""

    __slots__ = ("_execute", "_session", "blobs", "changes", "engine", "now", "organization")

    def __init__(self, session: Session, scope: "_Scope", now: float) -> None:
        self._session = session
        self._execute = session.execute
        self.organization = scope.number
        self.engine = scope.engine
        self.now = now
        self.blobs = scope.blobs
        self.changes = Changes()

    def run(self, sql: str, /, **values: Any) -> int:
        """Execute a statement; give the number of rows changed."""
        values["organization"] = self.organization
        self._execute(sql, values)
        return self._session.changed()

    def one(self, sql: str, /, **values: Any) -> Row | None:
        """Give the first row, or None."""
        values["organization"] = self.organization
        rows = self._execute(sql, values)
        return rows[0] if rows else None

    def all(self, sql: str, /, **values: Any) -> list[Row]:
        """Give all rows."""
        values["organization"] = self.organization
        return self._execute(sql, values)

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Execute a statement once for each row of values."""
        self._session.execute_many(sql, ({**row, "organization": self.organization} for row in rows))


@dataclass(slots=True)
class _Scope:
    """An open scope."""

    number: int
    engine: str
    connect: Callable[[], Session]
    blobs: BlobStore
    writer: Session | None = None
    writing: threading.Lock = field(default_factory=threading.Lock)
    queue: deque[Waiting] = field(default_factory=deque)
    draining: bool = False
    readers: list[Session] = field(default_factory=list)
    busy: int = 0

    def close(self) -> None:
        for session in self.readers:
            session.close()
        self.readers.clear()
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class EngineStore:
    """The `Store` over an engine; `folder` holds the blob files."""

    def __init__(self, engine: Engine, folder: Path, keys: KeyProvider, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._gone: set[int] = set()
        self._closing = False
        self._open: OrderedDict[int, _Scope] = OrderedDict()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
        self._background = ThreadPoolExecutor(BACKGROUND_THREADS, thread_name_prefix="background")
        self.keys = keys
        self.notifier = Notifier()

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self._engine.name

    def now(self) -> float:
        """Give the time in epoch seconds."""
        return self._clock()

    @contextmanager
    def transaction(self, scope: int, *, write: bool = True) -> Iterator[Tx]:
        """Open a transaction for a with-block of plain code; it commits at the end of the block.

        Raises `TryLater` for a write while the store is being closed, so that work of many transactions ends between two of them.
        """
        if write and self._closing:
            raise errors.TryLater("The store is being closed.")
        opened = self._enter(scope)
        try:
            if write:
                with opened.writing:
                    session = self._writer(opened)
                    tx = Transaction(session, opened, self._clock())
                    session.begin(write=True)
                    try:
                        yield tx
                        session.commit()
                    except BaseException:
                        session.rollback()
                        raise
                self.notifier.publish(scope, [tx.changes])
                self._engine.tell(scope, [tx.changes])
            else:
                with self._reading(opened) as session:
                    yield Transaction(session, opened, self._clock())
        finally:
            self._leave(opened)

    async def transact(self, scope: int, function: Callable[Concatenate[Tx, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function(tx, *args)` in a group-committed write; answer after the fsync."""
        loop = asyncio.get_running_loop()
        waiting = Waiting(lambda tx: function(tx, *args, **kwargs), loop, loop.create_future())
        while not self._enqueue(scope, waiting):
            await self.run(self._enter_and_leave, scope)
        result: T = await waiting.future
        return result

    async def read(self, scope: int, function: Callable[Concatenate[Tx, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function(tx, *args)` in a read-only snapshot."""

        def call() -> T:
            with self.transaction(scope, write=False) as tx:
                return function(tx, *args, **kwargs)

        return await self.run(call)

    async def look(self, scope: int, function: Callable[Concatenate[Tx, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Read a few rows at once if the engine is embedded and the scope open, else as `read` does."""
        if not self._engine.embedded or self._opened(scope) is None:
            return await self.read(scope, function, *args, **kwargs)
        with self.transaction(scope, write=False) as tx:
            return function(tx, *args, **kwargs)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function on a storage thread."""
        return await _run_on(self._threads, partial(function, *args, **kwargs))

    async def run_aside(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function that may take long on a thread that no client waits for."""
        return await _run_on(self._background, partial(function, *args, **kwargs))

    def scopes(self) -> list[int]:
        """List the numbers of the active organizations."""
        with self.transaction(REGISTRY, write=False) as tx:
            rows = tx.all("SELECT number FROM organizations WHERE state = 'Active' ORDER BY number")
        return [number for (number,) in rows]

    def blobs(self, scope: int) -> BlobStore:
        """Give an organization's blobs."""
        return (self._opened(scope) or self._enter_and_leave(scope)).blobs

    def reopen(self, scope: int) -> None:
        """Close an organization unless it is busy, so that who comes next has to ask for its key."""
        with self._lock:
            opened = self._open.get(scope)
            if opened is None or opened.busy:
                return
            del self._open[scope]
        opened.close()

    def destroy(self, scope: int) -> None:
        """Remove all rows and files of an organization whose key has been shredded."""
        with self._lock:
            self._gone.add(scope)
            opened = self._open.pop(scope, None)
        if opened is not None:
            with opened.writing:
                opened.connect = _refuse  # whoever still waits must not make the files anew
                opened.close()
        self._engine.destroy(scope)
        shutil.rmtree(self._blob_folder(scope), ignore_errors=True)  # what somebody writes there meanwhile nobody can read
        registry = self._enter(REGISTRY)
        try:
            with registry.writing:
                self._writer(registry).scrub()
        finally:
            self._leave(registry)
        changes = Changes()
        changes.doubt_all()  # who is still signed in there finds nobody at home
        self.notifier.publish(scope, [changes])
        self._engine.tell(scope, [changes])

    def hear(self) -> None:
        """Tell the notifier from now on what other processes change."""
        self._engine.hear(self.notifier)

    def close(self) -> None:
        """Wait for running transactions and close everything."""
        self._closing = True
        self._background.shutdown(wait=True)
        self._threads.shutdown(wait=True)
        with self._lock:
            for opened in self._open.values():
                opened.close()
            self._open.clear()
        self._engine.close()

    # Scopes

    def _opened(self, scope: int) -> _Scope | None:
        return self._open.get(scope)

    def _enter_and_leave(self, scope: int) -> _Scope:
        opened = self._enter(scope)
        self._leave(opened)
        return opened

    def _enter(self, scope: int) -> _Scope:
        """Find or open a scope and mark it busy."""
        with self._lock:
            opened = self._open.get(scope)
            if opened is not None:
                opened.busy += 1
                self._open.move_to_end(scope)
                return opened
        key = self._data_key(scope)
        with self._opening:  # may take its time, so not under the lock that the event loop takes
            opened = self._open.get(scope) or self._make(scope, key)
            with self._lock:
                if scope in self._gone:
                    self._engine.destroy(scope)
                    raise errors.OrganizationNotFound()
                self._open[scope] = opened
                opened.busy += 1
                idle = self._take_idle()
        for one in idle:
            one.close()
        return opened

    def _make(self, scope: int, key: bytes) -> _Scope:
        return _Scope(scope, self._engine.name, self._engine.open(scope, key), BlobStore(self._blob_folder(scope), key))

    def _leave(self, opened: _Scope) -> None:
        with self._lock:
            opened.busy -= 1

    def _take_idle(self) -> list[_Scope]:
        """Take out the scopes to close, those longest unused."""
        unused = [number for number, opened in self._open.items() if number != REGISTRY and not opened.busy]
        return [self._open.pop(number) for number in unused[: max(0, len(self._open) - OPEN_SCOPES)]]

    def _blob_folder(self, scope: int) -> Path:
        return self._folder / "blobs" / str(scope)

    def _data_key(self, scope: int) -> bytes:
        if scope == REGISTRY:
            return self.keys.registry_key()
        with self.transaction(REGISTRY, write=False) as tx:
            row = tx.one("SELECT wrapped_key, key_arn FROM organizations WHERE number = :number", number=scope)
        if row is None or row[0] is None:
            raise errors.OrganizationNotFound()
        return self.keys.unwrap(row[0], row[1])

    # Sessions

    def _writer(self, opened: _Scope) -> Session:
        if opened.writer is None:
            opened.writer = opened.connect()
        return opened.writer

    @contextmanager
    def _reading(self, opened: _Scope) -> Iterator[Session]:
        try:
            session = opened.readers.pop()
        except IndexError:
            session = opened.connect()
        sound = False
        try:
            session.begin(write=False)
            try:
                yield session
            finally:
                session.rollback()
                sound = True
        finally:
            if sound and len(opened.readers) < READERS and self._open.get(opened.number) is opened:
                opened.readers.append(session)
            else:
                session.close()

    # Group commit

    def _enqueue(self, scope: int, waiting: Waiting) -> bool:
        """Let a write wait in its scope's queue, with a thread to come for it; False when the scope is not open."""
        with self._lock:
            opened = self._open.get(scope)
            if opened is None:
                return False
            self._open.move_to_end(scope)
            opened.queue.append(waiting)
            if opened.draining:
                return True
            opened.draining = True
            opened.busy += 1
        self._threads.submit(self._drain, opened)
        return True

    def _drain(self, opened: _Scope) -> None:
        while True:
            with self._lock:
                batch = [opened.queue.popleft() for _ in range(min(BATCH, len(opened.queue)))]
                if not batch:
                    opened.draining = False
                    opened.busy -= 1
                    return
            try:
                with opened.writing:
                    changes = self._commit(opened, batch)
            except BaseException as error:
                log.error("commit_failed", scope=opened.number, writes=len(batch), exc_info=True)
                for waiting in batch:
                    waiting.error = errors.TryLater("The store cannot write now.")
                    waiting.error.__cause__ = error
                changes = []
            self.notifier.publish(opened.number, changes)  # first, so that who hears of success knows others have been told
            results.settle_all(batch)
            self._engine.tell(opened.number, changes)

    def _commit(self, opened: _Scope, batch: Sequence[Waiting]) -> list[Changes]:
        session = self._writer(opened)
        now = self._clock()
        changes: list[Changes] = []
        session.begin(write=True)
        try:
            for waiting in batch:
                tx = Transaction(session, opened, now)
                session.execute("SAVEPOINT one", {})
                try:
                    waiting.result = waiting.call(tx)
                except Exception as error:
                    waiting.error = error
                    session.execute("ROLLBACK TO SAVEPOINT one", {})
                    session.execute("RELEASE SAVEPOINT one", {})
                else:
                    session.execute("RELEASE SAVEPOINT one", {})
                    changes.append(tx.changes)
            session.commit()
        except BaseException:
            session.rollback()
            raise
        return changes


def _refuse() -> Session:
    raise errors.OrganizationNotFound()


async def _run_on(threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    """Run a function on one of some threads; unlike the loop's own way, many results wake the loop once."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            results.settle(loop, future, None, error)
        else:
            results.settle(loop, future, result, None)

    threads.submit(work)
    return await future
