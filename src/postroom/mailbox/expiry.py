"""Mail whose time is up: found without holding anybody up, then taken away a batch at a time.

`find` reads a page of what has expired in the folder of a role; `carry_out` does with it in a transaction what the policy of that moment
says, so a policy that is changed or removed meanwhile is obeyed at once. Only the folder itself is meant, not the folders below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from postroom.mailbox import access, changes, folders, items
from postroom.mailbox.access import Mailbox
from postroom.mailbox.items import Expiry
from postroom.model import errors
from postroom.model.folders import RECOVERABLE
from postroom.policy import retention
from postroom.policy.retention import Disposal
from postroom.storage.engine import Tx
from postroom.storage.queries import folders as folder_rows
from postroom.storage.queries import mailboxes

ROLES = (*retention.ROLES.values(), RECOVERABLE.role)
"""The folders from which mail may expire."""
BATCH = 200
"""Items moved or removed in one transaction, for which deliveries wait."""
_ANYTHING = Expiry(float(1 << 53), 1 << 62)


@dataclass(frozen=True, slots=True)
class _Case:
    """A folder from which mail expires."""

    mailbox: Mailbox
    folder: int
    disposal: Disposal
    expiry: Expiry


def owners(tx: Tx, *, after: int, limit: int) -> list[tuple[int, str]]:
    """List (mailbox, owner) of mailboxes in use, behind a mailbox."""
    return mailboxes.page(tx, after=after, limit=limit)


def find(tx: Tx, owner: str, role: str, *, after: int) -> list[int]:
    """List a batch of UIDs behind one that have expired in somebody's folder of a role."""
    case = _case(tx, owner, role)
    return [] if case is None else items.expired(tx, case.folder, case.expiry, after=after, limit=BATCH)


def carry_out(tx: Tx, owner: str, role: str, uids: Sequence[int]) -> int:
    """Move or remove those of some UIDs that have expired; counts them."""
    case = _case(tx, owner, role)
    if case is None:
        return 0
    target = None if case.disposal.target is None else _folder(tx, case.mailbox, case.disposal.target)
    return items.expire(tx, case.mailbox, case.folder, _ranges(uids), case.expiry, target)


def recover(tx: Tx, owner: str, limit: int = BATCH) -> int:
    """Move some recoverable items back to Deleted Items, where they are young again; count them. Raises `OverQuota`, `NotPermitted`."""
    mailbox = access.open_for_upkeep(tx, owner)
    found = folder_rows.find_by_role(tx, mailbox.id, RECOVERABLE.role)
    uids = items.expired(tx, found[0], _ANYTHING, after=0, limit=limit) if found else []
    if found and uids:
        items.move(tx, mailbox, found[0], [(uids[0], uids[-1])], mailbox, folders.by_role(tx, mailbox, "trash").id)
    return len(uids)


def _case(tx: Tx, owner: str, role: str) -> _Case | None:
    disposal = retention.decide(retention.find(tx), role)
    if disposal is None:
        return None
    try:
        mailbox = access.open_for_upkeep(tx, owner)
    except errors.NotPermitted:  # parked since it was listed: it waits for its owner as it is
        return None
    found = folder_rows.find_by_role(tx, mailbox.id, role)
    if found is None:
        return None
    before = retention.expiry(disposal, tx.now)
    return _Case(mailbox, found[0], disposal, Expiry(before, changes.marked(tx, mailbox.id, before)))


def _folder(tx: Tx, mailbox: Mailbox, role: str) -> int:
    """Give the folder of a role, making that of recoverable items where it is missing."""
    found = folder_rows.find_by_role(tx, mailbox.id, role)
    if found is None and role == RECOVERABLE.role:
        modseq = mailboxes.advance(tx, mailbox.id)
        return folder_rows.insert(tx, mailbox.id, None, RECOVERABLE.name, modseq=modseq, role=role, holds=RECOVERABLE.holds)
    return folders.by_role(tx, mailbox, role).id


def _ranges(uids: Sequence[int]) -> list[tuple[int, int]]:
    """Write ascending UIDs as ranges."""
    found: list[tuple[int, int]] = []
    for uid in uids:
        if found and uid == found[-1][1] + 1:
            found[-1] = (found[-1][0], uid)
        else:
            found.append((uid, uid))
    return found
