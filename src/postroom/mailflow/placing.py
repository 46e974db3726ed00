"""Puts a copy of a letter into one mailbox, in the folder where it belongs."""

from dataclasses import dataclass

from postroom.mailbox import access, folders, items
from postroom.mailbox.contents import Prepared
from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a copy lies: its content, and the names of its folders."""

    content: int
    folders: tuple[str, ...]


def place(tx: Tx, owner: str, prepared: Prepared, *, junk: bool = False) -> Placed:
    """Put a letter into the mailbox of an owner, into Junk Email if it is `junk`; raises `OverQuota`."""
    mailbox = access.open_for_delivery(tx, owner)
    folder = folders.by_role(tx, mailbox, "junk" if junk else "inbox")
    return Placed(items.append(tx, mailbox, folder.id, prepared).content, (folder.name,))
