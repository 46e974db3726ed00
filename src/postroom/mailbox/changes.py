"""The change log: what has happened in a folder since a modseq.

Each mailbox counts its changes (RFC 7162 §3.1.1); an item carries the modseq of its last change, a removed
one leaves a tombstone. A position in this log is what every protocol calls by a name of its own.

The log knows no times, but once a night a mark notes how far it has come. By the marks tombstones are forgotten when they are old, and
retention tells when an item was changed last. Who comes back with a position from before what was forgotten is told that everything is
gone that is not there: more than is true of what it knows, but nothing less.
"""

from dataclasses import dataclass

from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import change_marks, folders, items, mailboxes

DAY = 86_400.0
TOMBSTONE_DAYS = 90
"""How long it is remembered, at least, which items are gone."""
MARK_DAYS = 731
"""How long marks are kept: longer than any retention period."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Items changed or new as (uid, flags, modseq), removed UIDs, and the folder's state at `modseq`."""

    modseq: int
    changed: list[tuple[int, int, int]]
    gone: list[int]
    uidnext: int
    total: int


def since(tx: Tx, folder_id: int, modseq: int, uidnext: int = 1) -> Changes:
    """Tell what has changed in a folder after a modseq, at which `uidnext` was its next UID, if that is known.

    Raises `FolderNotFound` when the folder is gone.
    """
    now = _state(tx, folder_id)
    if now.modseq <= modseq:
        return Changes(now.modseq, [], [], now.uidnext, now.total)
    changed = items.since(tx, folder_id, modseq, uidnext if now.flagged_modseq <= modseq else 1)
    gone = items.gone_since(tx, folder_id, modseq) if now.forgotten_modseq <= modseq else _absent(tx, folder_id, now.uidnext)
    return Changes(now.modseq, changed, gone, now.uidnext, now.total)


def effort(tx: Tx, folder_id: int, modseq: int, uidnext: int, total: int) -> int:
    """Say how many rows `since` would look at, at the most, for a client that knows of `total` items."""
    now = _state(tx, folder_id)
    new = now.uidnext - uidnext
    whole = now.flagged_modseq > modseq or now.forgotten_modseq > modseq
    return new + (now.total if whole else 0) + max(total + new - now.total, 0)


def mark(tx: Tx) -> None:
    """Note how far the change logs of the organization's mailboxes have come by now."""
    change_marks.insert_all(tx)


def marked(tx: Tx, mailbox: int, before: float) -> int:
    """Give a modseq that a mailbox had reached at a time (epoch seconds), the last one known; 0 when none is."""
    return change_marks.find(tx, mailbox, before=before)


def logs(tx: Tx) -> list[int]:
    """List the ids of the mailboxes that have a change log."""
    return mailboxes.ids(tx)


def forget(tx: Tx, mailbox: int, limit: int) -> int:
    """Delete some of the tombstones of a mailbox that are older than `TOMBSTONE_DAYS`, and marks that serve nothing; counts tombstones."""
    change_marks.delete(tx, mailbox, before=tx.now - MARK_DAYS * DAY)
    modseq = change_marks.find(tx, mailbox, before=tx.now - TOMBSTONE_DAYS * DAY)
    return change_marks.delete_tombstones(tx, mailbox, modseq=modseq, limit=limit) if modseq else 0


def _absent(tx: Tx, folder_id: int, uidnext: int) -> list[int]:
    """List every UID that has been given out and is not there any more."""
    there = set(items.uids(tx, folder_id))
    return [uid for uid in range(1, uidnext) if uid not in there]


def _state(tx: Tx, folder_id: int) -> folders.State:
    found = folders.state(tx, folder_id)
    if found is None:
        raise errors.FolderNotFound()
    return found
