"""The whole contract between the house and its engines.

A *scope* is the registry or one organization; a transaction never spans two. Everything below this door is
plain, synchronous Python that gets a `Tx`; `transact`, `read`, `look` and `run` are the only bridges from
async code. Writers of one organization that wait together share one COMMIT, each in its own savepoint, and
hear their result after the fsync. A function handed to `transact` must have no effect outside its `Tx`.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from postroom.storage.blobs import BlobStore
from postroom.storage.keys import KeyProvider
from postroom.storage.notifier import Changes, Notifier

P = ParamSpec("P")
T = TypeVar("T")

REGISTRY: Final = 0
"""The scope that knows organizations, mail domains and API principals."""


class Tx(Protocol):
    """One transaction in one scope. SQL takes named values; `:organization` is bound for you."""

    @property
    def organization(self) -> int:
        """The scope: the organization's number, or `REGISTRY`."""

    @property
    def engine(self) -> str:
        """The engine's name, `sqlite` or `postgresql`."""

    @property
    def now(self) -> float:
        """The time of the transaction, fixed at its start, in epoch seconds."""

    @property
    def changes(self) -> Changes:
        """What waiting clients and jobs are told after COMMIT, and only then."""

    @property
    def blobs(self) -> BlobStore:
        """The organization's blobs."""

    def run(self, sql: str, /, **values: Any) -> int:
        """Execute a statement; give the number of rows changed."""

    def one(self, sql: str, /, **values: Any) -> tuple[Any, ...] | None:
        """Give the first row, or None."""

    def all(self, sql: str, /, **values: Any) -> list[tuple[Any, ...]]:
        """Give all rows."""

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Execute a statement once for each row of values."""


class Store(Protocol):
    """All scopes of one server."""

    @property
    def notifier(self) -> Notifier:
        """Tells waiting clients of committed changes."""

    @property
    def keys(self) -> KeyProvider:
        """Wraps and unwraps the data keys of organizations."""

    @property
    def engine(self) -> str:
        """The engine's name, `sqlite` or `postgresql`."""

    def now(self) -> float:
        """Give the time in epoch seconds."""

    def transaction(self, scope: int, *, write: bool = True) -> AbstractContextManager[Tx]:
        """Open a transaction for a with-block of plain code; it commits at the end of the block."""

    async def transact(self, scope: int, function: Callable[Concatenate[Tx, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function(tx, *args)` in a write transaction on a storage thread; answer after the fsync."""

    async def read(self, scope: int, function: Callable[Concatenate[Tx, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function(tx, *args)` in a read-only snapshot on a storage thread."""

    async def look(self, scope: int, function: Callable[Concatenate[Tx, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Read a few rows by their keys, in a millisecond at most; like `read`, but an embedded engine answers at once, in the event loop.

        Waking a thread and passing the interpreter to and fro takes ten times as long as such a query.
        """

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function on a storage thread: hashing, parsing, files."""

    async def run_aside(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function that may take long on a thread that no client waits for: jobs."""

    def scopes(self) -> list[int]:
        """List the numbers of the active organizations."""

    def blobs(self, scope: int) -> BlobStore:
        """Give an organization's blobs, to prepare large ones before a transaction."""

    def reopen(self, scope: int) -> None:
        """Close an organization unless it is busy, so that who comes next has to ask for its key."""

    def destroy(self, scope: int) -> None:
        """Remove all rows and files of an organization whose key has been shredded."""

    def hear(self) -> None:
        """Tell the notifier from now on what other processes change; for the process that serves clients, once."""

    def close(self) -> None:
        """Wait for running transactions and close everything."""
