"""How full a mailbox is, and what its owner hears when it is almost full.

The notice comes once, when something new takes the mailbox to 90 % of its quota, and not again before it has been below 85 %: a letter that
goes and one that comes shall not bring a notice each.
"""

from postroom.formats import compose
from postroom.mailbox import contents
from postroom.mailbox.access import Mailbox
from postroom.mailbox.contents import Prepared
from postroom.model import errors
from postroom.model.entities import Kind
from postroom.storage.engine import Tx
from postroom.storage.queries import entities, mailboxes
from postroom.storage.queries.mailboxes import Charged

FULL_PERCENT = 90
"""When the owner is told (WorkMail: mailbox quotas)."""


def usage(tx: Tx, mailbox: Mailbox) -> tuple[int, int]:
    """Give (used, allowed) in bytes (WorkMail API: GetMailboxDetails, RFC 9208 §5.1)."""
    found = mailboxes.find_by_owner(tx, mailbox.owner)
    if found is None:
        raise errors.NotPermitted()
    _, quota_mb, used = found
    return used, quota_mb * mailboxes.MB


def charge(tx: Tx, mailbox: Mailbox, size: int) -> Charged:
    """Count bytes as used, with one step of the change log; raises `OverQuota`."""
    charged = mailboxes.advance_within_quota(tx, mailbox.id, bytes=size)
    if charged is None:
        raise errors.OverQuota()
    return charged


def is_to_be_told(charged: Charged) -> bool:
    """Say whether a mailbox is almost full and its owner has not heard of it."""
    return not charged.warned and charged.used_bytes * 100 >= charged.quota_mb * mailboxes.MB * FULL_PERCENT


def notice(tx: Tx, mailbox: Mailbox, charged: Charged) -> Prepared | None:
    """Write the notice that a mailbox is almost full, from the postmaster of the owner's own domain; None when nobody would read it.

    It is small enough to live in a row, so nothing is written outside the transaction.
    """
    owner = entities.find(tx, mailbox.owner)
    if owner is None or owner.email is None or owner.kind is not Kind.USER:
        return None
    domain = owner.email.rpartition("@")[2]
    raw = compose.notice(
        sender=f"postmaster@{domain}",
        recipient=owner.email,
        subject="Your mailbox is almost full",
        text=_text(charged),
        now=tx.now,
    )
    return contents.written(tx, raw)


def _text(charged: Charged) -> str:
    used = charged.used_bytes / mailboxes.MB
    return (
        f"Your mailbox holds {used:.1f} MB of the {charged.quota_mb} MB it may hold ({used * 100 / charged.quota_mb:.0f} %).\n\n"
        "When it is full, mail to you is refused and its senders are told so. To make room, delete what you\n"
        "no longer need and empty Deleted Items, or ask your administrator for a larger quota.\n\n"
        "You will not be told again until there has been room in between.\n"
    )
