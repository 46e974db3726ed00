"""The folders every mailbox is born with."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SystemFolder:
    """A folder that cannot be deleted: its special use, its name, the kind of item it holds."""

    role: str
    name: str
    holds: str


SYSTEM_FOLDERS: Final = (
    SystemFolder("inbox", "Inbox", "message"),
    SystemFolder("sent", "Sent Items", "message"),
    SystemFolder("drafts", "Drafts", "message"),
    SystemFolder("trash", "Deleted Items", "message"),
    SystemFolder("junk", "Junk Email", "message"),
    SystemFolder("calendar", "Calendar", "event"),
    SystemFolder("contacts", "Contacts", "contact"),
    SystemFolder("tasks", "Tasks", "task"),
    SystemFolder("notes", "Notes", "note"),
)
"""WorkMail's names of the mail folders, and one folder for each other kind of item."""

RECOVERABLE: Final = SystemFolder("recoverableitemsdeletions", "Recoverable Items/Deletions", "recoverable")
"""What a retention policy has taken from Deleted Items: made when it is needed, and not counted against the quota.

No path leads there, since its name has a `/` in it, and it holds a kind of its own, so that no list of mail folders shows it.
"""
