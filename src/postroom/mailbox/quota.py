"""How full a mailbox is."""

from postroom.mailbox.access import Mailbox
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import mailboxes


def usage(tx: Tx, mailbox: Mailbox) -> tuple[int, int]:
    """Give (used, allowed) in bytes (WorkMail API: GetMailboxDetails, RFC 9208 §5.1)."""
    found = mailboxes.find_by_owner(tx, mailbox.owner)
    if found is None:
        raise errors.NotPermitted()
    _, quota_mb, used = found
    return used, quota_mb * mailboxes.MB
