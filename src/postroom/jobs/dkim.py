"""Makes the DKIM keys that mail domains still lack, a domain to a transaction, and replaces those that a rotation has retired."""

from postroom.directory import dkim
from postroom.storage.engine import Store

PAGE = 20


def make_keys(store: Store, scope: int) -> int:
    """Make the missing keys of an organization; give the number of domains that got theirs."""
    with store.transaction(scope, write=False) as tx:
        waiting = dkim.missing(tx, limit=PAGE)
    for domain in waiting:
        with store.transaction(scope, write=False) as tx:
            lacking = dkim.lacking(tx, domain)
        keys = dkim.make(lacking)
        with store.transaction(scope) as tx:
            dkim.keep(tx, domain, keys)
    return len(waiting) + _replace(store, scope)


def _replace(store: Store, scope: int) -> int:
    with store.transaction(scope, write=False) as tx:
        outworn = dkim.outworn(tx, limit=PAGE)
    for domain, selector in outworn:
        keys = dkim.make(dkim.pair(selector))
        with store.transaction(scope) as tx:
            dkim.replace(tx, domain, keys)
    return len(outworn)
