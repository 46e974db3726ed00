"""Forgets how much users have sent, when it counts no more, and trust in senders that has run out."""

from collections.abc import Callable

from postroom.jobs import pacing
from postroom.mailflow import allowance
from postroom.policy import spikes
from postroom.policy.spikes import Settings
from postroom.storage.engine import Store

PAGE = 1000


def purge(settings: Settings) -> Callable[[Store, int], int]:
    """Give the work of an organization, which counts what it forgets."""

    def work(store: Store, scope: int) -> int:
        purged = 0
        while True:
            with pacing.transaction(store, scope) as tx:
                gone = allowance.purge(tx, PAGE) + spikes.purge(tx, settings, PAGE)
            purged += gone
            if not gone:
                return purged

    return work
