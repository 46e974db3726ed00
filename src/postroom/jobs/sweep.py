"""Sweeps what nothing refers to any more: contents, blob files, mailboxes whose time is up.

A content may lose its last item while a new one is about to refer to it again, and a blob file is written before the row that names it;
so nothing is swept that is younger than an hour.
"""

from postroom.directory import mailboxes
from postroom.jobs import pacing
from postroom.mailbox import contents
from postroom.storage.engine import Store

UNUSED_SECONDS = 3600.0
PARKED_SECONDS = 30 * 86_400.0
ITEMS_AT_ONCE = 1000
"""Items of a mailbox deleted in one transaction."""


def sweep_contents(store: Store, scope: int) -> int:
    """Delete unused contents, a page to a transaction, so that writers wait for a page at most; give their number."""
    after, swept = 0, 0
    while True:
        with pacing.transaction(store, scope) as tx:
            after, deleted = contents.sweep(tx, unused_for=UNUSED_SECONDS, after=after)
        swept += deleted
        if not after:
            return swept


def sweep_files(store: Store, scope: int) -> int:
    """Remove blob files that no content refers to; give their number. Writers go on: their files are young."""
    with store.transaction(scope, write=False) as tx:
        return contents.sweep_files(tx, older_than=UNUSED_SECONDS)


def purge_mailboxes(store: Store, scope: int) -> int:
    """Delete mailboxes whose owners have been out of mail for thirty days (WorkMail API: DeregisterFromWorkMail)."""
    purged = 0
    while True:
        with pacing.transaction(store, scope) as tx:
            done = mailboxes.purge(tx, parked_for=PARKED_SECONDS, limit=ITEMS_AT_ONCE)
        if done is None:
            return purged
        purged += done
