"""Takes letters out of the message flow when their day is over, so that nothing keeps their contents any more."""

from postroom.jobs import pacing
from postroom.mailflow import flow
from postroom.storage.engine import Store


def purge(store: Store, scope: int) -> int:
    """Forget letters older than a day; give their number."""
    return _purge(store, scope, flow.KEPT_SECONDS)


def forget_all(store: Store, scope: int) -> int:
    """Forget letters however new they are, where no message flow is offered; give their number."""
    return _purge(store, scope, 0.0)


def _purge(store: Store, scope: int, kept: float) -> int:
    after, purged = 0, 0
    while True:
        with pacing.transaction(store, scope) as tx:
            after, gone = flow.purge(tx, kept=kept, after=after)
        purged += gone
        if not after:
            return purged
