"""The one door to a mailbox: may you open it, and how far?

The value that `open_mailbox` gives *is* the permission: whoever holds a `Mailbox` may do with it what its
`right` says, and the functions that write ask for it.
"""

from dataclasses import dataclass
from enum import IntEnum

from postroom.model import errors
from postroom.model.actors import Actor
from postroom.model.addresses import parse
from postroom.policy import permissions
from postroom.storage.engine import Tx
from postroom.storage.queries import entities, mailboxes


class Right(IntEnum):
    """How far a mailbox is opened; each includes those before it."""

    DELIVER = 1
    READ = 2
    WRITE = 3


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An opened mailbox."""

    scope: int
    id: int
    owner: str
    right: Right

    def require(self, right: Right) -> None:
        """Raise `NotPermitted` unless the mailbox was opened that far."""
        if self.right < right:
            raise errors.NotPermitted()


def open_mailbox(tx: Tx, actor: Actor, owner: str, right: Right) -> Mailbox:
    """Open the user's own mailbox, or that of an entity which has opened it to the user.

    Raises `NotPermitted`, also where there is none (WorkMail API: PutMailboxPermissions, FULL_ACCESS).
    Who acts for reading alone opens nothing further than that.
    """
    if actor.read_only and right > Right.READ:
        raise errors.NotPermitted()
    if actor.scope != tx.organization:
        raise errors.NotPermitted()
    if actor.user_id != owner and not permissions.opens(tx, actor.user_id, owner):
        raise errors.NotPermitted()
    return _open(tx, owner, right)


def open_by_address(tx: Tx, actor: Actor, address: str, right: Right) -> Mailbox:
    """Open the mailbox of somebody else by the key of the primary address; raises `NotPermitted`, whether or not there is one."""
    owner = entities.find_by_address(tx, address)
    if owner is None or owner.id == actor.user_id or owner.email is None or parse(owner.email).key != address:
        raise errors.NotPermitted()
    return open_mailbox(tx, actor, owner.id, right)


def open_for_upkeep(tx: Tx, owner: str) -> Mailbox:
    """Open the mailbox of an entity to do in it what the organization has ordered; raises `NotPermitted` where there is none."""
    return _open(tx, owner, Right.WRITE)


def open_for_delivery(tx: Tx, owner: str) -> Mailbox:
    """Open the mailbox of an entity to bring mail in; raises `NotPermitted` where there is none."""
    return _open(tx, owner, Right.DELIVER)


def open_for_export(tx: Tx, owner: str, mailbox: int) -> Mailbox:
    """Open a mailbox to read it for the organization's administrator, who has asked for a copy; a parked one too."""
    return Mailbox(tx.organization, mailbox, owner, Right.READ)


def _open(tx: Tx, owner: str, right: Right) -> Mailbox:
    found = mailboxes.find_by_owner(tx, owner)
    if found is None:
        raise errors.NotPermitted()
    return Mailbox(tx.organization, found[0], owner, right)
