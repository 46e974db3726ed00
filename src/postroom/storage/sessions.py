"""What an engine offers the store: sessions of a scope, and words with the other processes that share it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from postroom.storage.notifier import Changes, Notifier

Row = tuple[Any, ...]


class Session(Protocol):
    """One connection of an engine, used by one thread at a time."""

    def execute(self, sql: str, values: Mapping[str, Any]) -> list[Row]:
        """Run a statement and give its rows."""

    def execute_many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement for each row of values."""

    def changed(self) -> int:
        """Give the rows changed by the last statement."""

    def begin(self, *, write: bool) -> None:
        """Begin: a write takes the scope's write lock, a read takes a snapshot."""

    def commit(self) -> None:
        """Commit; returns once it is durable."""

    def rollback(self) -> None:
        """Roll back, if there is anything to roll back."""

    def scrub(self) -> None:
        """Leave nothing behind of what has been overwritten, as far as that is in the engine's hands."""

    def close(self) -> None:
        """Give up the connection."""


class Engine(Protocol):
    """What differs between SQLite and PostgreSQL."""

    @property
    def name(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def embedded(self) -> bool:
        """Whether it reads in this process, without asking anybody over a network."""

    def open(self, scope: int, key: bytes) -> Callable[[], Session]:
        """Bring the scope's schema up to date and give the way to open sessions."""

    def destroy(self, scope: int) -> None:
        """Remove everything of a scope."""

    def tell(self, scope: int, changes: Sequence[Changes]) -> None:
        """Tell other processes of the same store what has changed, as far as they must know; called after COMMIT, and never fails."""

    def hear(self, notifier: Notifier) -> None:
        """Publish from now on what other processes tell."""

    def close(self) -> None:
        """Close what scopes share."""
