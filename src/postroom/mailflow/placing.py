"""Puts a copy of a letter into one mailbox, in the folder where it belongs, or as the rules of its owner say."""

from dataclasses import dataclass

import structlog

from postroom.mailbox import access, contents, folders, items
from postroom.mailbox.contents import Prepared
from postroom.mailflow.sieve import delivery, scripts
from postroom.mailflow.sieve.delivery import Applied, Passage
from postroom.model import errors
from postroom.storage.engine import Tx

log = structlog.get_logger("postroom.sieve")


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a copy lies: its content, the names of its folders, and what a script of the owner has done, if there is one."""

    content: int
    folders: tuple[str, ...]
    applied: Applied | None = None


def place(tx: Tx, owner: str, prepared: Prepared, *, junk: bool = False, passage: Passage | None = None) -> Placed:
    """Put a letter into the mailbox of an owner, into Junk Email if it is `junk`, unless the owner's script says otherwise.

    Raises `OverQuota`, and `LetterRefused` where the `passage` permits it. Without a passage no script is asked.
    """
    mailbox = access.open_for_delivery(tx, owner)
    if passage is not None:
        try:
            active = scripts.active(tx, mailbox)
        except errors.MalformedScript as error:
            log.warning("script_not_read", scope=tx.organization, owner=owner, reason=error.text)
            active = None
        if active is not None:
            name, script = active
            applied = delivery.deliver(tx, mailbox, prepared, passage, name=name, script=script, junk=junk)
            return Placed(contents.keep(tx, prepared), applied.folders, applied)
    folder = folders.by_role(tx, mailbox, "junk" if junk else "inbox")
    return Placed(items.append(tx, mailbox, folder.id, prepared).content, (folder.name,))
