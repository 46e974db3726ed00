"""SQLite behind the store: one encrypted file per organization and one registry file.

apsw-sqlite3mc encrypts every page with AEGIS-256, an authenticated cipher, under the organization's raw key
(a raw key opens in half a millisecond; there is no passphrase to stretch). WAL with synchronous=FULL: COMMIT
returns after the fsync of the log. Readers see the last commit and never wait for the writer.

One process serves the files; commands may write beside it, and tell it of what they have changed (`storage/pipe.py`).
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import structlog

from postroom.storage import migrations, telling
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.keys import KeyProvider, derive, fsync_folder
from postroom.storage.notifier import Changes, Notifier
from postroom.storage.pipe import Pipe
from postroom.storage.sessions import Row
from postroom.storage.store import EngineStore

Failure = apsw.Error
"""What the engine raises when it cannot do its work."""
PAGE_BYTES = 8192
CACHE_KIB = 8 * 1024
WAL_PAGES = 2000
BUSY_MS = 10_000
_ROWS = 1_000_000
_BROAD = frozenset({"organization", "kind", "state"})
"""Columns with so few values that they select nothing."""

log = structlog.get_logger("postroom.storage")


class SqliteSession:
    """One apsw connection."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def execute(self, sql: str, values: Mapping[str, Any]) -> list[Row]:
        """Run a statement and give its rows."""
        return self._cursor.execute(sql, values).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement for each row of values."""
        self._cursor.executemany(sql, rows)

    def changed(self) -> int:
        """Give the rows changed by the last statement."""
        return self._connection.changes()

    def begin(self, *, write: bool) -> None:
        """Take the write lock at once, or a snapshot at the first read."""
        self._cursor.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def commit(self) -> None:
        """Commit; returns after the fsync."""
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        """Roll back, if there is anything to roll back."""
        if self._connection.in_transaction:
            self._cursor.execute("ROLLBACK")

    def scrub(self) -> None:
        """Empty the log of the pages it holds twice, as far as no reader needs them."""
        self._cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SqliteEngine:
    """The files of a folder."""

    name = "sqlite"
    embedded = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipe = Pipe(folder)
        (folder / "organizations").mkdir(parents=True, exist_ok=True)
        fsync_folder(folder)

    def path(self, scope: int) -> Path:
        """Give the file of a scope."""
        if scope == REGISTRY:
            return self._folder / "registry.db"
        return self._folder / "organizations" / f"{scope}.db"

    def open(self, scope: int, key: bytes) -> Callable[[], SqliteSession]:
        """Bring the schema up to date and give the way to open sessions."""
        path, database_key = str(self.path(scope)), derive(key, "database").hex()

        def connect() -> SqliteSession:
            return SqliteSession(_connect(path, database_key, shredding=scope == REGISTRY))

        connection = _connect(path, database_key)
        try:
            _migrate(connection, "registry" if scope == REGISTRY else "organization")
        finally:
            connection.close()
        return connect

    def destroy(self, scope: int) -> None:
        """Remove the scope's files."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path(scope)}{suffix}").unlink(missing_ok=True)

    def tell(self, scope: int, changes: Sequence[Changes]) -> None:
        """Tell the server, where it is another process: which folders have changed, and what work there is."""
        if self._pipe.listening:
            return
        try:
            for line in telling.lines("", scope, changes, topics=True):
                self._pipe.send(line)
        except OSError as error:
            log.error("changes_not_told", scope=scope, reason=str(error))

    def hear(self, notifier: Notifier) -> None:
        """Publish what other processes tell, on a thread of its own."""

        def hear(line: bytes) -> None:
            told = telling.heard(line)
            notifier.publish(told.scope, [told.changes])

        self._pipe.listen(hear, notifier.missed)

    def close(self) -> None:
        """Hear no more; nothing else is shared between scopes."""
        self._pipe.close()


def open_store(folder: Path, keys: KeyProvider, clock: Callable[[], float] = time.time) -> Store:
    """Open the embedded store in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return EngineStore(SqliteEngine(folder), folder, keys, clock)


def _connect(path: str, key: str, *, shredding: bool = False) -> apsw.Connection:
    """Open a file; one with keys in it is shredding: what is deleted is overwritten, too."""
    connection = apsw.Connection(path, statementcachesize=256)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # or statements that sort are compiled anew for every value, which takes 10 µs
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("cipher", "aegis")
    connection.pragma("key", f"raw:{key}")
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", WAL_PAGES)
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("temp_store", "memory")
    connection.pragma("secure_delete", int(shredding))
    return connection


def _migrate(connection: apsw.Connection, kind: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) WITHOUT ROWID")
        done = {name for (name,) in connection.execute("SELECT name FROM migrations")}
        missing = migrations.missing("sqlite", kind, done)
        for name, script in missing:
            connection.execute(script)
            connection.execute("INSERT INTO migrations VALUES (?)", (name,))
        if missing:
            _describe(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _describe(connection: apsw.Connection) -> None:
    """Tell the planner that the organization, which stands first in every index, is the same in every row.

    Without statistics SQLite takes the first column of an index for a selective one, and walks the whole table by it.
    """
    connection.execute("ANALYZE sqlite_schema")  # makes the table of statistics
    connection.execute("DELETE FROM sqlite_stat1")
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall()
    for table in [str(name) for (name,) in tables]:
        for _, index, unique, origin, _ in connection.execute(f"PRAGMA index_list({table})").fetchall():
            columns = [str(name) for _, _, name in connection.execute(f"PRAGMA index_info({index})").fetchall()]
            if columns[0] == "organization":
                clustered = origin == "pk" and "WITHOUT ROWID" in _text(connection, table)
                statistics = (table, table if clustered else index, _statistics(columns, unique=bool(unique)))
                connection.execute("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", statistics)


def _statistics(columns: Sequence[str], *, unique: bool) -> str:
    """Say how many rows there are, and how many share the first column, the first two, and so on."""
    shared = _ROWS
    counts = [_ROWS]
    for column in columns:
        if column not in _BROAD:
            shared = min(shared, 10_000) // 10
        counts.append(max(shared, 2))
    if unique:
        counts[-1] = 1
    return " ".join(map(str, counts))


def _text(connection: apsw.Connection, table: str) -> str:
    found = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    return str(found[0]) if found else ""
