"""CREATE, DELETE and RENAME: the tree of folders (RFC 3501 §6.3.3, §6.3.4, §6.3.5)."""

from postroom.mailbox import folders
from postroom.mailbox.access import Mailbox
from postroom.mailbox.folders import Folder
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Create, Delete, Rename
from postroom.protocols.imap.grammar.names import SEPARATOR
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps, Write
from postroom.storage.engine import Tx


def create(session: Session, command: Create) -> Steps:
    """Make a folder, and those above it; a separator at the end only says that there will be more below."""
    if command.use:
        return answers.no(b"Special uses cannot be given to other mailboxes.", b"USEATTR")
    yield Write(folders.create, session.own, command.mailbox.removesuffix(SEPARATOR))
    return answers.ok(b"CREATE completed.")


def delete(session: Session, command: Delete) -> Steps:
    """Delete a folder with what is in it; a session that has it selected leaves it."""
    gone: Folder = yield Write(_delete, session.own, command.mailbox)
    if session.selected is not None and session.selected.folder.id == gone.id:
        session.leave_folder()
    return answers.ok(b"DELETE completed.")


def _delete(tx: Tx, mailbox: Mailbox, path: str) -> Folder:
    folder = folders.get(tx, mailbox, path)
    folders.delete(tx, mailbox, path)
    return folder


def rename(session: Session, command: Rename) -> Steps:
    """Give a folder another name; INBOX gives its messages to a new one."""
    yield Write(folders.rename, session.own, command.mailbox, command.new.removesuffix(SEPARATOR))
    return answers.ok(b"RENAME completed.")
