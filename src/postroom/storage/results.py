"""Results on their way from storage threads to the event loops that wait for them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from postroom.storage.engine import Tx


@dataclass(slots=True)
class Waiting:
    """A write that waits for its batch, and what became of it."""

    call: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


def settle(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    """Let a future have its result or its error, in its loop."""
    _tell(loop, _settle, future, result, error)


def settle_all(batch: Sequence[Waiting]) -> None:
    """Let a whole batch have its results, each loop with one call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
    for waiting in batch:
        by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, settled in by_loop.items():
        _tell(loop, _settle_batch, settled)


def _settle_batch(batch: Sequence[Waiting]) -> None:
    for waiting in batch:
        _settle(waiting.future, waiting.result, waiting.error)


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """Call back in the loop; one that has closed has nobody left to tell."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise
