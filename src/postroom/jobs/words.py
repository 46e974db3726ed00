"""Puts the words of new contents into the index, after their letters have been acknowledged."""

from postroom.mailbox import contents
from postroom.storage.engine import Store

PAGE = 48
"""Contents indexed in one transaction: few, since senders wait for the same writer."""


def index(store: Store, scope: int) -> int:
    """Index one page of an organization's contents; gives their number."""
    with store.transaction(scope, write=False) as tx:
        entries = contents.unindexed(tx, PAGE)
    if entries:
        with store.transaction(scope) as tx:
            contents.index(tx, entries)
    return len(entries)
