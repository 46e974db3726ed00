"""Forgets tokens of impersonation roles that have expired."""

from postroom.policy import impersonation_tokens
from postroom.storage.engine import Store


def purge_tokens(store: Store, scope: int) -> int:
    """Delete expired tokens, a page to a transaction; give their number. Where there is none nothing is written."""
    purged = 0
    while True:
        with store.transaction(scope, write=False) as tx:
            if not impersonation_tokens.any_expired(tx):
                return purged
        with store.transaction(scope) as tx:
            purged += impersonation_tokens.purge(tx)
