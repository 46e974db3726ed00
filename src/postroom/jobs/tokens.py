"""Forgets personal access tokens that have expired, and ends the sessions that are still open with one."""

from postroom.policy import tokens
from postroom.storage.engine import Store


def purge(store: Store, scope: int) -> int:
    """Delete expired tokens, a page to a transaction; give their number. Where there is none nothing is written."""
    purged = 0
    while True:
        with store.transaction(scope, write=False) as tx:
            if not tokens.any_expired(tx):
                return purged
        with store.transaction(scope) as tx:
            purged += tokens.purge(tx)
