"""A thread for one piece of work that may wait for a network: nobody waits for it when the program ends."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")


async def run(name: str, function: Callable[[], T]) -> T:
    """Run a plain function on a thread of its own; what it raises is raised."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as failure:
            error = failure
        with suppress(RuntimeError):  # the loop may have ended meanwhile
            loop.call_soon_threadsafe(partial(settle, result, error))

    threading.Thread(target=work, name=name, daemon=True).start()
    return await done
