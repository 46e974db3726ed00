"""Sizes and quotas of mailboxes (WorkMail API: GetMailboxDetails, UpdateMailboxQuota)."""

from postroom.api.operation import Answer, Call, operation
from postroom.directory import mailboxes
from postroom.mailbox import access, items
from postroom.storage.queries.mailboxes import MB


@operation("GetMailboxDetails")
def get_mailbox_details(call: Call) -> Answer:
    """Show a mailbox's quota and size, both in MB."""
    quota_mb, used_bytes = mailboxes.describe(call.tx, call.params["UserId"])
    return {"MailboxQuota": quota_mb, "MailboxSize": used_bytes / MB}


@operation("UpdateMailboxQuota")
def update_mailbox_quota(call: Call) -> Answer:
    """Set a mailbox's quota in MB; its owner is told if that makes it almost full."""
    owner = mailboxes.set_quota(call.tx, call.params["UserId"], call.params["MailboxQuota"])
    items.review_quota(call.tx, access.open_for_upkeep(call.tx, owner))
    return {}
