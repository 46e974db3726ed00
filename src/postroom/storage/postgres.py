"""PostgreSQL behind the store: the same tables in one database, `organization` first in every key.

A write transaction takes an advisory lock of its organization, so writers of one organization follow each
other exactly as on SQLite, over any number of processes, and the same code is right on both. Reads are
REPEATABLE READ, READ ONLY snapshots. Sessions borrow a connection from `BEGIN` to `COMMIT`.

Processes on one database tell each other by NOTIFY which folders have changed: after COMMIT, since a NOTIFY inside a transaction makes
the commits of all organizations wait for each other. A server sees to the work that it makes; a command, which does not stay, tells of that
too.
"""

import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import psycopg.sql
import structlog

from postroom.model import errors
from postroom.storage import dialect, migrations, telling
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.keys import KeyProvider
from postroom.storage.notifier import Changes, Notifier
from postroom.storage.sessions import Row
from postroom.storage.store import EngineStore

Failure = psycopg.Error
"""What the engine raises when it cannot do its work."""
CHANNEL = "postroom_changes"
LISTENING_SECONDS = 1.0
KEPT = 8
"""Idle connections kept open."""
LOCK_CLASS = 0x706F7374
MIGRATION_LOCK = 0x6D6967
DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
"""Whatever the database or the role say: COMMIT is answered after the fsync. Settings that wait for a standby too are left alone."""
WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Each statement sees what was committed before the lock was had, as a snapshot taken while waiting for it would not."""
READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
LOCK = "SELECT pg_advisory_xact_lock(%s, %s)"
LIVES = "SELECT 1 FROM organizations WHERE number = %s AND wrapped_key IS NOT NULL"
"""Another process may have deleted an organization that is open here; nothing is written into it any more."""

log = structlog.get_logger("postroom.storage")


class PostgresEngine:
    """One database and its connections."""

    name = "postgresql"
    embedded = False

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._idle: queue.LifoQueue[psycopg.Connection[Row]] = queue.LifoQueue(KEPT)
        self._name = secrets.token_hex(8)
        self._hearing = False
        self._closed = threading.Event()
        with psycopg.connect(dsn) as connection:
            _migrate(connection)

    def begin(self, statement: str, *values: str) -> psycopg.Connection[Row]:
        """Run a first statement on an idle connection that still lives, or on a new one."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                connection = self._connect()
                connection.execute(statement.encode(), values or None)
                return connection
            try:
                connection.execute(statement.encode(), values or None)
            except psycopg.OperationalError:
                connection.close()  # the server has ended it meanwhile; nothing had begun
            else:
                return connection

    def give_back(self, connection: psycopg.Connection[Row]) -> None:
        """Keep a connection for the next session."""
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def open(self, scope: int, key: bytes) -> Callable[[], "PostgresSession"]:
        """Give the way to open sessions; the schema is one for all."""
        return lambda: PostgresSession(self, scope)

    def destroy(self, scope: int) -> None:
        """Delete the organization's rows from every table of organizations."""
        with self._connect() as connection:
            connection.execute(WRITE.encode())
            connection.execute(LOCK, (LOCK_CLASS, scope))  # who wrote before has ended, who comes later finds it gone
            tables = connection.execute(
                "SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = 'organization'"
            ).fetchall()
            for (table,) in tables:
                name = psycopg.sql.Identifier(table)
                connection.execute(psycopg.sql.SQL("DELETE FROM {} WHERE organization = %s").format(name), (scope,))
            connection.execute("COMMIT")

    def tell(self, scope: int, changes: Sequence[Changes]) -> None:
        """Name what has changed to the other processes; whom it does not reach sees it at the next change."""
        try:
            for line in telling.lines(self._name, scope, changes, topics=not self._hearing):
                self.give_back(self.begin("SELECT pg_notify(%s, %s)", CHANNEL, line.decode()))
        except psycopg.Error as error:
            log.error("changes_not_told", scope=scope, reason=str(error))

    def hear(self, notifier: Notifier) -> None:
        """Publish what other processes tell, on a thread of its own that connects again where it must."""
        self._hearing = True
        threading.Thread(target=self._listen, args=(notifier,), name="storage-changes", daemon=True).start()

    def _listen(self, notifier: Notifier) -> None:
        while not self._closed.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}".encode())
                    notifier.missed()  # what was told while nobody listened
                    while not self._closed.is_set():
                        for notice in connection.notifies(timeout=LISTENING_SECONDS):
                            told = telling.heard(notice.payload)
                            if told.sender != self._name:
                                notifier.publish(told.scope, [told.changes])
            except Exception as error:  # a listener that ends would leave clients waiting for ever
                if not self._closed.wait(LISTENING_SECONDS):
                    log.warning("changes_not_heard", reason=str(error))

    def close(self) -> None:
        """Close the idle connections."""
        self._closed.set()
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def _connect(self) -> psycopg.Connection[Row]:
        connection: psycopg.Connection[Row] = psycopg.connect(self._dsn, autocommit=True)
        connection.execute(DURABLE.encode())
        return connection


class PostgresSession:
    """A session of one scope; holds a connection only inside a transaction."""

    __slots__ = ("_changed", "_connection", "_cursor", "_engine", "_scope")

    def __init__(self, engine: PostgresEngine, scope: int) -> None:
        self._engine = engine
        self._scope = scope
        self._connection: psycopg.Connection[Row] | None = None
        self._cursor: psycopg.Cursor[Row] | None = None
        self._changed = 0

    def execute(self, sql: str, values: Mapping[str, Any]) -> list[Row]:
        """Run a statement and give its rows."""
        assert self._cursor is not None
        self._cursor.execute(dialect.postgresql(sql), values or None)
        self._changed = max(self._cursor.rowcount, 0)
        return self._cursor.fetchall() if self._cursor.description else []

    def execute_many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement for each row of values."""
        assert self._cursor is not None
        self._cursor.executemany(dialect.postgresql(sql), rows)

    def changed(self) -> int:
        """Give the rows changed by the last statement."""
        return self._changed

    def begin(self, *, write: bool) -> None:
        """Take the organization's write lock, or a snapshot."""
        self._connection = self._engine.begin(WRITE if write else READ)
        self._cursor = self._connection.cursor()
        try:
            if write:
                self._cursor.execute(LOCK, (LOCK_CLASS, self._scope))
                if self._scope != REGISTRY and self._cursor.execute(LIVES, (self._scope,)).fetchone() is None:
                    raise errors.OrganizationNotFound()
        except BaseException:
            self._connection.close()
            self._connection = self._cursor = None
            raise

    def commit(self) -> None:
        """Commit; returns after the server's fsync."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """Roll back, if there is anything to roll back."""
        if self._connection is not None:
            self._end("ROLLBACK")

    def scrub(self) -> None:
        """Nothing: old versions of rows are the business of PostgreSQL's vacuum."""

    def close(self) -> None:
        """Give up what an unfinished transaction holds."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._cursor = None

    def _end(self, word: str) -> None:
        connection, cursor = self._connection, self._cursor
        self._connection = self._cursor = None
        assert connection is not None
        assert cursor is not None
        try:
            cursor.execute(word.encode())
        except BaseException:
            connection.close()
            raise
        cursor.close()
        self._engine.give_back(connection)


def open_store(dsn: str, folder: Path, keys: KeyProvider, clock: Callable[[], float] = time.time) -> Store:
    """Open the store of a database; large blobs are files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return EngineStore(PostgresEngine(dsn), folder, keys, clock)


def _migrate(connection: psycopg.Connection[Row]) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
    done = {name for (name,) in connection.execute("SELECT name FROM migrations").fetchall()}
    for kind in ("registry", "organization"):
        for name, script in migrations.missing("postgresql", kind, done):
            connection.execute(script.encode())
            connection.execute("INSERT INTO migrations VALUES (%s)", (name,))
