"""Transactions of background work, one after the other, with room in between for those that wait.

Each is followed by a pause as long as it was, so that such work has the writer of the organization for half of the time at the most, and
deliveries wait for one short transaction, not for several in a row.
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
