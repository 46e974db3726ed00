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


def since(tx: Tx, folder_id: int, modseq: int) -> Changes:
    """Tell what has changed in a folder after a modseq; raises `FolderNotFound` when the folder is gone."""
    row = folders.find(tx, folder_id)
    if row is None:
        raise errors.FolderNotFound()
    uidnext, head, total = row[6], row[7], row[8]
    if head <= modseq:
        return Changes(head, [], [], uidnext, total)
    return Changes(head, items.since(tx, folder_id, modseq), items.gone_since(tx, folder_id, modseq), uidnext, total)
