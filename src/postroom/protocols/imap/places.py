"""Where a name leads: to a folder of the client's own mailbox, or of another's that is opened to whoever has signed in.

`Shared/<primary address>/<path>` is a path in the mailbox of whoever has that address; every other name is a path at home. Permission
is asked each time a name is followed. A mailbox that is not opened to the client and one that does not exist are refused alike.
"""

from dataclasses import dataclass

from postroom.mailbox import access, folders
from postroom.mailbox.access import Mailbox, Right
from postroom.mailbox.folders import Folder
from postroom.model import errors
from postroom.model.actors import Actor
from postroom.policy import permissions
from postroom.protocols.imap.grammar import names
from postroom.protocols.imap.grammar.names import SEPARATOR
from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class Origin:
    """From where names are read: who has signed in, and the mailbox that this client has as its own."""

    actor: Actor
    home: Mailbox

    @property
    def sees_others(self) -> bool:
        """Say whether the mailboxes of others are among the names: not for a client that has one of them as its own."""
        return self.actor.user_id == self.home.owner


@dataclass(frozen=True, slots=True)
class Place:
    """A path in an opened mailbox; `prefix` is what the names of this mailbox begin with, nothing at home."""

    mailbox: Mailbox
    path: str
    prefix: str = ""

    @property
    def root(self) -> str:
        """The name of the mailbox as a whole, empty at home."""
        return self.prefix.removesuffix(SEPARATOR)

    def folder(self, tx: Tx) -> Folder:
        """Give the folder that is there; raises `FolderNotFound`."""
        return folders.get(tx, self.mailbox, self.path)

    def name(self, folder: Folder) -> str:
        """Name a folder of the mailbox as the client does."""
        return self.prefix + folder.path


def find(tx: Tx, origin: Origin, name: str) -> Place:
    """Follow a name; raises `NotPermitted` where it leads into a mailbox that is not there for this client."""
    address, path = names.split(name)
    if not address:
        return Place(origin.home, path)
    if not origin.sees_others:
        raise errors.NotPermitted()
    mailbox = access.open_by_address(tx, origin.actor, address, Right.WRITE)
    return Place(mailbox, path, names.root_of(address) + SEPARATOR)


def enter(tx: Tx, origin: Origin, name: str) -> Place:
    """Follow a name, and open the mailbox again even at home, where it may have been closed since."""
    place = find(tx, origin, name)
    if place.prefix:
        return place
    return Place(access.open_mailbox(tx, origin.actor, origin.home.owner, origin.home.right), place.path)


def others(tx: Tx, origin: Origin) -> list[tuple[str, str]]:
    """List the (owner, root name) of the mailboxes of others that are opened to whoever has signed in."""
    found = permissions.shared_with(tx, origin.actor.user_id) if origin.sees_others else []
    return [(owner, names.root_of(address)) for owner, address in found if SEPARATOR not in address]


def tree(tx: Tx, origin: Origin, owner: str, root: str) -> dict[str, Folder]:
    """Give the folders of another's mailbox by their names, parents before children."""
    mailbox = access.open_mailbox(tx, origin.actor, owner, Right.READ)
    return {root + SEPARATOR + folder.path: folder for folder in folders.tree(tx, mailbox)}
