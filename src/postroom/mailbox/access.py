"""The one door to a mailbox: may you open it, and how far?

The value that `open_mailbox` gives *is* the permission: whoever holds a `Mailbox` may do with it what its
`right` says, and the functions that write ask for it.
"""

from dataclasses import dataclass
from enum import IntEnum

from postroom.model import errors
from postroom.model.actors import Actor
from postroom.storage.engine import Tx
from postroom.storage.queries import mailboxes


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
    """Open the mailbox of an entity for a signed-in user; raises `NotPermitted`, also where there is none.

    Who acts for reading alone opens nothing further than that.
    """
    if actor.read_only and right > Right.READ:
        raise errors.NotPermitted()
    if actor.scope != tx.organization or actor.user_id != owner:
        raise errors.NotPermitted()
    return _open(tx, owner, right)


def open_for_upkeep(tx: Tx, owner: str) -> Mailbox:
    """Open the mailbox of an entity to do in it what the organization has ordered; raises `NotPermitted` where there is none."""
    return _open(tx, owner, Right.WRITE)


def open_for_delivery(tx: Tx, owner: str) -> Mailbox:
    """Open the mailbox of an entity to bring mail in; raises `NotPermitted` where there is none."""
    return _open(tx, owner, Right.DELIVER)


def _open(tx: Tx, owner: str, right: Right) -> Mailbox:
    found = mailboxes.find_by_owner(tx, owner)
    if found is None:
        raise errors.NotPermitted()
    return Mailbox(tx.organization, found[0], owner, right)
