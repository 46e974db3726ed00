"""Forgets who has had an automatic reply, when the next one may be sent anyway."""

from postroom.mailflow.sieve import scripts
from postroom.storage.engine import Store


def forget_replies(store: Store, scope: int) -> int:
    """Delete notes that count no more, a page to a transaction; give their number. Where there is none nothing is written."""
    forgotten = 0
    while True:
        with store.transaction(scope, write=False) as tx:
            if not scripts.any_forgettable(tx):
                return forgotten
        with store.transaction(scope) as tx:
            forgotten += scripts.forget_replies(tx)
