"""Items of a folder: append, read, flag, copy, move, expunge.

A UID is given once and never again in its folder (RFC 9051 §2.3.1.1). Every change moves the mailbox's
modseq by one and marks what it touched with it. The quota is asked here, once, for every way in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postroom.mailbox import contents, keywords, lessons, quota
from postroom.mailbox import search as searching
from postroom.mailbox.access import Mailbox, Right
from postroom.mailbox.contents import Prepared
from postroom.model import errors
from postroom.model.flags import SYSTEM_MASK, Flag
from postroom.model.search import Query
from postroom.storage.engine import Tx
from postroom.storage.queries import counters, folders, mailboxes
from postroom.storage.queries import items as queries
from postroom.storage.queries.mailboxes import Charged

Ranges = Sequence[tuple[int, int]]
"""Inclusive ranges of UIDs, ascending."""
_COPIED = ("uid", "flags", "content", "size", "received_at", "item", "kind")
_SEEN = int(Flag.SEEN)


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an item has come to lie, and its content."""

    item: int
    uid: int
    uidvalidity: int
    modseq: int
    content: int


@dataclass(frozen=True, slots=True)
class StoreResult:
    """The items after a change of flags as (uid, flags, modseq), and the UIDs it was withheld from."""

    rows: list[tuple[int, int, int]]
    failed: list[int]
    modseq: int

    @property
    def changed(self) -> list[tuple[int, int, int]]:
        """Those that really changed."""
        return [row for row in self.rows if row[2] == self.modseq]


@dataclass(frozen=True, slots=True)
class Expiry:
    """Until when an item must have been left alone to have expired: a time in epoch seconds, and a modseq the mailbox had then."""

    before: float
    modseq: int


@dataclass(frozen=True, slots=True)
class Copied:
    """The UIDVALIDITY of the target folder and the pairs of old and new UIDs."""

    uidvalidity: int
    pairs: list[tuple[int, int]]


def append(
    tx: Tx,
    mailbox: Mailbox,
    folder_id: int,
    prepared: Prepared,
    *,
    flags: int = 0,
    received_at: float | None = None,
) -> Appended:
    """Put a content into a folder; raises `OverQuota`, `FolderNotFound`."""
    charged = quota.charge(tx, mailbox, prepared.size)
    appended = _keep(tx, mailbox, folder_id, prepared, modseq=charged.modseq, flags=flags, received_at=received_at)
    _warn(tx, mailbox, charged)
    return appended


def review_quota(tx: Tx, mailbox: Mailbox) -> None:
    """Tell the owner if the mailbox is almost full by now, for its quota has changed."""
    _warn(tx, mailbox, mailboxes.state(tx, mailbox.id))


def uids(tx: Tx, folder_id: int) -> list[int]:
    """List the UIDs of a folder in order."""
    return queries.uids(tx, folder_id)


def first_unseen(tx: Tx, folder_id: int) -> int | None:
    """Find the lowest UID without \\Seen."""
    return queries.first_unseen(tx, folder_id)


def rows(tx: Tx, folder_id: int, uidset: Ranges, fields: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """List fields of the items in a set, in order of their UIDs; times in epoch seconds, sizes in bytes."""
    return queries.rows(tx, folder_id, uidset, fields)


def search(tx: Tx, folder_id: int, query: Query) -> list[int]:
    """List the UIDs of the items that match (RFC 9051 §6.4.4)."""
    return searching.uids(tx, folder_id, query)


def set_flags(
    tx: Tx,
    mailbox: Mailbox,
    folder_id: int,
    uidset: Ranges,
    how: str,
    mask: int,
    unchanged_since: int | None = None,
    tell: bool = True,
) -> StoreResult:
    """Add, remove or replace flags, save on items changed after `unchanged_since`.

    The rows are read only to `tell` of them (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
    """
    mailbox.require(Right.WRITE)
    before = mailboxes.modseq(tx, mailbox.id)
    failed: list[int] = []
    changed = unseen = 0
    seen_too = how == "replace" or bool(mask & _SEEN)
    for low, high in uidset:
        if unchanged_since is not None:
            failed += queries.changed_after(tx, folder_id, low, high, unchanged_since)
        if seen_too:
            unseen -= queries.count_unseen(tx, folder_id, low, high)
        changed += queries.set_flags(tx, folder_id, low, high, how=how, mask=mask, modseq=before + 1, unchanged_since=unchanged_since)
        if seen_too:
            unseen += queries.count_unseen(tx, folder_id, low, high)
    if changed:
        mailboxes.advance(tx, mailbox.id)
        folders.note_flags(tx, folder_id, unseen=unseen, modseq=before + 1)
        tx.changes.add(mailbox.id, folder_id)
    found = [row for low, high in uidset for row in queries.flag_rows(tx, folder_id, low, high)] if tell else []
    return StoreResult(found, failed, before + 1 if changed else before)


def copy(tx: Tx, mailbox: Mailbox, folder_id: int, uidset: Ranges, target: Mailbox, target_folder_id: int) -> Copied:
    """Copy items with their flags and dates; all or none (RFC 9051 §6.4.7). Raises `OverQuota`."""
    target.require(Right.WRITE)
    found = queries.rows(tx, folder_id, uidset, _COPIED)
    first_item = counters.next(tx, "item", len(found)) if found else 0
    kept = [(*row[:5], first_item + offset, row[6]) for offset, row in enumerate(found)]
    lessons.note(tx, folder_id, target_folder_id, _letters(found))
    return _place(tx, mailbox, kept, target, target_folder_id, charge=True)


def move(tx: Tx, mailbox: Mailbox, folder_id: int, uidset: Ranges, target: Mailbox, target_folder_id: int) -> Copied:
    """Move items; each keeps its item id and gets a new UID (RFC 6851 §3.3)."""
    mailbox.require(Right.WRITE)
    target.require(Right.WRITE)
    found = queries.rows(tx, folder_id, uidset, _COPIED)
    credit, charge = _accounts(tx, folder_id, target_folder_id, elsewhere=mailbox.id != target.id)
    if found:
        _remove(tx, mailbox, folder_id, [(row[0], row[1], row[3], row[5]) for row in found], credit=credit)
        lessons.note(tx, folder_id, target_folder_id, _letters(found))
    return _place(tx, mailbox, found, target, target_folder_id, charge=charge)


def expunge(tx: Tx, mailbox: Mailbox, folder_id: int, uidset: Ranges | None = None) -> list[int]:
    """Remove the items with \\Deleted, of a set or of the whole folder; gives their UIDs (RFC 4315 §2.1)."""
    mailbox.require(Right.WRITE)
    ranges = [(1, (1 << 62) - 1)] if uidset is None else uidset
    gone = [row for low, high in ranges for row in queries.deleted(tx, folder_id, low, high)]
    if gone:
        _remove(tx, mailbox, folder_id, gone)
    return [row[0] for row in gone]


def expired(tx: Tx, folder_id: int, expiry: Expiry, *, after: int, limit: int) -> list[int]:
    """List the UIDs of items behind `after` that have expired, in order."""
    return queries.expired(tx, folder_id, after=after, before=expiry.before, modseq=expiry.modseq, limit=limit)


def expire(tx: Tx, mailbox: Mailbox, folder_id: int, uidset: Ranges, expiry: Expiry, target_folder_id: int | None) -> int:
    """Move what has expired in a set to another folder of the mailbox, or remove it for good (None); counts it."""
    mailbox.require(Right.WRITE)
    fields = (*_COPIED, "saved_at", "modseq", "created_modseq")
    found = [row[:7] for row in queries.rows(tx, folder_id, uidset, fields) if _has_expired(expiry, *row[7:])]
    if found:
        gone = [(row[0], row[1], row[3], row[5]) for row in found]
        credit, charge = _accounts(tx, folder_id, target_folder_id)
        _remove(tx, mailbox, folder_id, gone, credit=credit)
        if target_folder_id is not None:
            _place(tx, mailbox, found, mailbox, target_folder_id, charge=charge)
    return len(found)


def _letters(found: Sequence[tuple[Any, ...]]) -> list[int]:
    """List the contents of messages among rows of `_COPIED`."""
    return [row[2] for row in found if row[6] == "message"]


def _accounts(tx: Tx, folder_id: int, target_folder_id: int | None, *, elsewhere: bool = False) -> tuple[bool, bool]:
    """Say whether a move is credited to where it comes from and charged to where it goes: recoverable items are not counted as used."""
    leaves = folders.is_counted(tx, folder_id)
    enters = target_folder_id is not None and folders.is_counted(tx, target_folder_id)
    return leaves and (elsewhere or not enters), enters and (elsewhere or not leaves)


def _has_expired(expiry: Expiry, saved_at: int, modseq: int, created_modseq: int) -> bool:
    return saved_at <= expiry.before and (modseq == created_modseq or modseq <= expiry.modseq)


def _keep(
    tx: Tx, mailbox: Mailbox, folder_id: int, prepared: Prepared, *, modseq: int, flags: int = 0, received_at: float | None = None
) -> Appended:
    """Insert an item that has been charged already."""
    size = prepared.size
    content = contents.keep(tx, prepared)
    contents.await_index(tx, content)
    uid, uidvalidity = _take_uids(tx, folder_id, 1, unseen=int(not flags & _SEEN), size=size, modseq=modseq)
    item = queries.insert(
        tx,
        folder_id,
        uid,
        flags=flags,
        modseq=modseq,
        content=content,
        size=size,
        received_at=int(tx.now if received_at is None else received_at),
        kind=prepared.kind,
    )
    tx.changes.add(mailbox.id, folder_id)
    return Appended(item, uid, uidvalidity, modseq, content)


def _warn(tx: Tx, mailbox: Mailbox, charged: Charged) -> None:
    """Put a notice into the inbox of a mailbox that is almost full, once; it may fill what is left, and is no reason for another."""
    inbox = folders.find_by_role(tx, mailbox.id, "inbox") if quota.is_to_be_told(charged) else None
    if inbox is not None:
        mailboxes.note_warning(tx, mailbox.id)
        notice = quota.notice(tx, mailbox, charged)
        if notice is not None:
            _keep(tx, mailbox, inbox[0], notice, modseq=mailboxes.advance(tx, mailbox.id, bytes=notice.size))


def _take_uids(tx: Tx, folder_id: int, n: int, *, unseen: int, size: int, modseq: int) -> tuple[int, int]:
    taken = folders.take_uids(tx, folder_id, n, unseen=unseen, size=size, modseq=modseq)
    if taken is None:
        raise errors.FolderNotFound()
    return taken


def _place(tx: Tx, source: Mailbox, found: Sequence[tuple[Any, ...]], target: Mailbox, folder_id: int, *, charge: bool) -> Copied:
    """Insert rows of `_COPIED` into a folder under new UIDs, in their order; without `charge` their size is counted already."""
    size = sum(row[3] for row in found)
    unseen = sum(1 for row in found if not row[1] & _SEEN)
    charged = quota.charge(tx, target, size) if found and charge else None
    if charged is not None:
        modseq = charged.modseq
    else:
        modseq = mailboxes.advance(tx, target.id) if found else mailboxes.modseq(tx, target.id)
    first, uidvalidity = _take_uids(tx, folder_id, len(found), unseen=unseen, size=size, modseq=modseq)
    translate = _flag_translation(tx, source, target)
    queries.insert_many(
        tx,
        [
            {
                "folder": folder_id,
                "uid": first + offset,
                "flags": translate(flags),
                "modseq": modseq,
                "content": content,
                "size": bytes,
                "received_at": received_at,
                "saved_at": int(tx.now),
                "item": item,
                "kind": kind,
            }
            for offset, (_, flags, content, bytes, received_at, item, kind) in enumerate(found)
        ],
    )
    tx.changes.add(target.id, folder_id)
    if charged is not None:
        _warn(tx, target, charged)
    return Copied(uidvalidity, [(row[0], first + offset) for offset, row in enumerate(found)])


def _flag_translation(tx: Tx, source: Mailbox, target: Mailbox) -> Any:
    """Give the function that spells flags of one mailbox in another's keyword bits."""
    if source.id == target.id:
        return lambda flags: flags
    names = keywords.names(tx, source)

    def translate(flags: int) -> int:
        words = [name for bit, name in names.items() if flags & bit]
        return (flags & SYSTEM_MASK) | keywords.mask(tx, target, words, create=True)

    return translate


def _remove(tx: Tx, mailbox: Mailbox, folder_id: int, gone: Sequence[tuple[int, int, int, int]], *, credit: bool = True) -> None:
    """Remove (uid, flags, size, item) rows and settle the counts; without `credit` the mailbox keeps their size."""
    size = sum(row[2] for row in gone)
    unseen = sum(1 for row in gone if not row[1] & _SEEN)
    modseq = mailboxes.advance(tx, mailbox.id, bytes=-size if credit else 0)
    queries.remove(tx, folder_id, [(row[0], row[3]) for row in gone], modseq)
    folders.uncount(tx, folder_id, total=len(gone), unseen=unseen, size=size, modseq=modseq)
    tx.changes.add(mailbox.id, folder_id)
