"""Forgets networks that were told to come again and did not, and those that have not written for long."""

from collections.abc import Callable

from postroom.jobs import pacing
from postroom.mailflow import greylisting
from postroom.mailflow.filters.settings import Greylisting
from postroom.storage.engine import Store

PAGE = 1000


def purge(settings: Greylisting) -> Callable[[Store, int], int]:
    """Give the work of an organization, which counts what it forgets."""

    def work(store: Store, scope: int) -> int:
        purged = 0
        while True:
            with pacing.transaction(store, scope) as tx:
                gone = greylisting.purge(tx, settings, PAGE)
            purged += gone
            if not gone:
                return purged

    return work
