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


def set_quota(tx: Tx, reference: str, quota_mb: int) -> None:
    """Set the quota, 1 to 51200 MB; `EntityState` for an owner without a mailbox (WorkMail API: UpdateMailboxQuota)."""
    if not 1 <= quota_mb <= MAX_QUOTA_MB:
        raise errors.InvalidParameter(f"A mailbox quota is between 1 and {MAX_QUOTA_MB} MB.")
    owner = get(tx, reference, OWNERS)
    if mailboxes.find_by_owner(tx, owner.id) is None:
        raise errors.EntityState(f"{owner.name} has no mailbox.")
    mailboxes.set_quota(tx, owner.id, quota_mb)


def purge(tx: Tx, *, parked_for: float, limit: int) -> int:
    """Delete at most `limit` mailboxes that have been parked for so many seconds, with all that lies in them; counts them."""
    expired = mailboxes.page_parked(tx, before=tx.now - parked_for, limit=limit)
    for mailbox, _ in expired:
        mailboxes.delete(tx, mailbox)
    return len(expired)
