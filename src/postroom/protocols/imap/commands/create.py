"""CREATE, DELETE and RENAME: the tree of folders (RFC 3501 §6.3.3, §6.3.4, §6.3.5)."""

from postroom.mailbox import folders
from postroom.mailbox.folders import Folder
from postroom.model import errors
from postroom.protocols.imap import places
from postroom.protocols.imap.grammar import answers, names
from postroom.protocols.imap.grammar.commands import Create, Delete, Rename
from postroom.protocols.imap.grammar.names import SEPARATOR, SHARED
from postroom.protocols.imap.places import Origin
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps, Write
from postroom.storage.engine import Tx


def create(session: Session, command: Create) -> Steps:
    """Make a folder, and those above it; a separator at the end only says that there will be more below."""
    if command.use:
        return answers.no(b"Special uses cannot be given to other mailboxes.", b"USEATTR")
    yield Write(_create, session.origin, command.mailbox.removesuffix(SEPARATOR))
    return answers.ok(b"CREATE completed.")


def _create(tx: Tx, origin: Origin, name: str) -> None:
    place = places.find(tx, origin, name)
    _require_reachable(place.path)
    folders.create(tx, place.mailbox, place.path)


def delete(session: Session, command: Delete) -> Steps:
    """Delete a folder with what is in it; a session that has it selected leaves it."""
    gone: Folder = yield Write(_delete, session.origin, command.mailbox)
    if session.selected is not None and session.selected.folder.id == gone.id:
        session.leave_folder()
    return answers.ok(b"DELETE completed.")


def _delete(tx: Tx, origin: Origin, name: str) -> Folder:
    place = places.find(tx, origin, name)
    folder = place.folder(tx)
    folders.delete(tx, place.mailbox, place.path)
    return folder


def rename(session: Session, command: Rename) -> Steps:
    """Give a folder another name; INBOX gives its messages to a new one."""
    yield Write(_rename, session.origin, command.mailbox, command.new.removesuffix(SEPARATOR))
    return answers.ok(b"RENAME completed.")


def _rename(tx: Tx, origin: Origin, name: str, new: str) -> None:
    place, target = places.find(tx, origin, name), places.find(tx, origin, new)
    if place.mailbox.id != target.mailbox.id:
        raise errors.BadFolderName("A folder cannot be moved to another mailbox.")
    if target.path.startswith(SHARED):
        above = place.folder(tx).path
        for folder in folders.tree(tx, place.mailbox, holds=None):
            if folder.path == above or folder.path.startswith(above + SEPARATOR):
                _require_reachable(target.path + folder.path.removeprefix(above))
    folders.rename(tx, place.mailbox, place.path, target.path)


def _require_reachable(path: str) -> None:
    """Raise `BadFolderName` where the owner of a mailbox would be led by this path into the mailbox of another."""
    address, _ = names.split(path)
    if address:
        raise errors.BadFolderName()
