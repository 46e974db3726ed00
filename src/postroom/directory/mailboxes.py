"""What an administrator knows of a mailbox: how large it is, how large it may become, and when it is gone."""

from postroom.directory.entities import get
from postroom.model import errors
from postroom.model.entities import Kind
from postroom.storage.engine import Tx
from postroom.storage.queries import mailboxes

OWNERS = frozenset({Kind.USER, Kind.RESOURCE})
MAX_QUOTA_MB = 51200


def describe(tx: Tx, reference: str) -> tuple[int, int]:
    """Get (quota in MB, used bytes); `EntityNotFound` also for an owner without a mailbox (WorkMail API: GetMailboxDetails)."""
    owner = get(tx, reference, OWNERS)
    found = mailboxes.find_by_owner(tx, owner.id)
    if found is None:
        raise errors.EntityNotFound(f"{owner.name} has no mailbox.")
    return found[1], found[2]


def set_quota(tx: Tx, reference: str, quota_mb: int) -> str:
    """Set the quota, 1 to 51200 MB; gives the owner's id. `EntityState` where there is no mailbox (WorkMail API: UpdateMailboxQuota)."""
    if not 1 <= quota_mb <= MAX_QUOTA_MB:
        raise errors.InvalidParameter(f"A mailbox quota is between 1 and {MAX_QUOTA_MB} MB.")
    owner = get(tx, reference, OWNERS)
    if mailboxes.find_by_owner(tx, owner.id) is None:
        raise errors.EntityState(f"{owner.name} has no mailbox.")
    mailboxes.set_quota(tx, owner.id, quota_mb)
    return owner.id


def purge(tx: Tx, *, parked_for: float, limit: int) -> int | None:
    """Delete at most `limit` items of a mailbox that has been parked for so many seconds, or, when it is empty, the mailbox.

    Gives the number of mailboxes that are gone now, None when there is none to delete. From the first step on it is nobody's, so that
    nobody is given half of it back.
    """
    expired = mailboxes.page_parked(tx, before=tx.now - parked_for, limit=1)
    if not expired:
        return None
    mailbox = expired[0][0]
    mailboxes.disown(tx, mailbox)
    if mailboxes.empty(tx, mailbox, limit):
        return 0
    mailboxes.delete(tx, mailbox)
    return 1
