"""Transactions of background work, one after the other, with room in between for those that wait.

Whoever commits and at once begins again gets the writer of the organization before anybody who waits for it. So each transaction is
followed by a pause as long as it was, in which deliveries have the writer to themselves.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from postroom.storage.engine import Store, Tx

LONGEST_PAUSE = 1.0
"""Seconds."""


@contextmanager
def transaction(store: Store, scope: int) -> Iterator[Tx]:
    """Open a write transaction; it commits at the end of the block, which then lasts as long again."""
    began = time.monotonic()
    with store.transaction(scope) as tx:
        yield tx
    time.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
