"""The change log: what has happened in a folder since a modseq.

Each mailbox counts its changes (RFC 7162 §3.1.1); an item carries the modseq of its last change, a removed
one leaves a tombstone. A position in this log is what every protocol calls by a name of its own.
"""

from dataclasses import dataclass

from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import folders, items


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
    return Changes(now.modseq, changed, items.gone_since(tx, folder_id, modseq), now.uidnext, now.total)


def effort(tx: Tx, folder_id: int, modseq: int, uidnext: int, total: int) -> int:
    """Say how many rows `since` would look at, at the most, for a client that knows of `total` items."""
    now = _state(tx, folder_id)
    new = now.uidnext - uidnext
    return new + (now.total if now.flagged_modseq > modseq else 0) + max(total + new - now.total, 0)


def _state(tx: Tx, folder_id: int) -> folders.State:
    found = folders.state(tx, folder_id)
    if found is None:
        raise errors.FolderNotFound()
    return found
