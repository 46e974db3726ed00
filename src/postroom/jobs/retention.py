"""Obeys the retention policy in every mailbox of an organization, once a night, and forgets what is gone long since."""

from collections.abc import Iterator

from postroom.jobs import pacing
from postroom.mailbox import changes, expiry
from postroom.storage.engine import Store

PAGE = 500
"""Mailboxes listed at once."""
FORGOTTEN_AT_ONCE = 1000
"""Tombstones deleted in one transaction."""


def apply(store: Store, scope: int) -> int:
    """Move or remove what has expired; give its number (WorkMail API: PutRetentionPolicy)."""
    with store.transaction(scope) as tx:
        changes.mark(tx)
    return sum(_expire(store, scope, owner, role) for owner in _owners(store, scope) for role in expiry.ROLES)


def forget(store: Store, scope: int) -> int:
    """Delete old tombstones from the change logs; give their number."""
    with store.transaction(scope) as tx:
        changes.mark(tx)
        logs = changes.logs(tx)
    return sum(_forget(store, scope, mailbox) for mailbox in logs)


def _owners(store: Store, scope: int) -> Iterator[str]:
    after = 0
    while True:
        with store.transaction(scope, write=False) as tx:
            page = expiry.owners(tx, after=after, limit=PAGE)
        yield from (owner for _, owner in page)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _expire(store: Store, scope: int, owner: str, role: str) -> int:
    done = after = 0
    while True:
        with store.transaction(scope, write=False) as tx:
            uids = expiry.find(tx, owner, role, after=after)
        if not uids:
            return done
        with pacing.transaction(store, scope) as tx:
            done += expiry.carry_out(tx, owner, role, uids)
        after = uids[-1]


def _forget(store: Store, scope: int, mailbox: int) -> int:
    done = 0
    while True:
        with pacing.transaction(store, scope) as tx:
            forgotten = changes.forget(tx, mailbox, FORGOTTEN_AT_ONCE)
        done += forgotten
        if not forgotten:
            return done
