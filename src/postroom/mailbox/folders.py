"""Folders of a mailbox: a tree of names; paths are written with `/`.

Names are plain Unicode text; a protocol that writes them otherwise (modified UTF-7, `INBOX`) translates. The
system folders can be neither deleted nor renamed, save that renaming the inbox moves its mail away.
"""

import unicodedata
from dataclasses import dataclass

from postroom.mailbox import items
from postroom.mailbox.access import Mailbox, Right
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import folders as queries
from postroom.storage.queries import mailboxes

MAX_FOLDERS = 5000
"""Folders of one mailbox."""
MAX_DEPTH = 32
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1000
_OTHER_KIND = "A folder cannot lie in one of another kind."


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder; `role` is its special use, `recent_from` the first UID not yet shown as recent, sizes in bytes."""

    id: int
    mailbox: int
    parent: int | None
    name: str
    path: str
    role: str | None
    holds: str
    uidvalidity: int
    uidnext: int
    modseq: int
    total: int
    unseen: int
    size: int
    subscribed: bool
    recent_from: int


def tree(tx: Tx, mailbox: Mailbox, *, holds: str | None = "message") -> list[Folder]:
    """List the folders that hold one kind of item (None: all), parents before their children, sorted by path."""
    rows = {row[0]: row for row in queries.all_of(tx, mailbox.id)}
    paths: dict[int, str] = {}

    def path_of(folder: int) -> str:
        if folder not in paths:
            row = rows[folder]
            paths[folder] = row[2] if row[1] is None else f"{path_of(row[1])}/{row[2]}"
        return paths[folder]

    found = [_folder(row, mailbox.id, path_of(row[0])) for row in rows.values() if holds in (None, row[4])]
    return sorted(found, key=lambda folder: (folder.role != "inbox", folder.path.split("/")))


def find(tx: Tx, mailbox: Mailbox, path: str, *, holds: str | None = "message") -> Folder | None:
    """Find a folder of one kind (None: of any) by its path; the inbox in any case of letters (RFC 9051 §5.1)."""
    row = None
    names = _normal(path)
    for name in names:
        row = queries.find_child(tx, mailbox.id, None if row is None else row[0], name)
        if row is None:
            return None
    return _folder(row, mailbox.id, "/".join(names)) if row is not None and holds in (None, row[4]) else None


def get(tx: Tx, mailbox: Mailbox, path: str, *, holds: str | None = "message") -> Folder:
    """Give a folder by its path; raises `FolderNotFound`."""
    folder = find(tx, mailbox, path, holds=holds)
    if folder is None:
        raise errors.FolderNotFound()
    return folder


def by_role(tx: Tx, mailbox: Mailbox, role: str) -> Folder:
    """Give the folder of a special use; raises `FolderNotFound`."""
    row = queries.find_by_role(tx, mailbox.id, role)
    if row is None:
        raise errors.FolderNotFound()
    return _folder(row, mailbox.id, row[2])


def create(tx: Tx, mailbox: Mailbox, path: str, *, holds: str = "message") -> Folder:
    """Make a folder and the parents it lacks; raises `FolderExists`, `BadFolderName`, `LimitExceeded`."""
    mailbox.require(Right.WRITE)
    names = _names(path)
    if find(tx, mailbox, path, holds=None) is not None:
        raise errors.FolderExists()
    if queries.count(tx, mailbox.id) + len(names) > MAX_FOLDERS:
        raise errors.LimitExceeded("The mailbox has all the folders it may have.")
    modseq = mailboxes.advance(tx, mailbox.id)
    parent = None
    for name in names:
        row = queries.find_child(tx, mailbox.id, parent, name)
        if row is not None and row[4] != holds:
            raise errors.BadFolderName(_OTHER_KIND)
        parent = queries.insert(tx, mailbox.id, parent, name, modseq=modseq, holds=holds) if row is None else row[0]
        tx.changes.add(mailbox.id, parent)
    made = "/".join(names)
    queries.subscribe_absent(tx, mailbox.id, made, False)
    return get(tx, mailbox, made, holds=holds)


def rename(tx: Tx, mailbox: Mailbox, path: str, new_path: str) -> None:
    """Give a folder and all below it another path, making parents; the inbox's mail moves instead (RFC 9051 §6.3.6)."""
    mailbox.require(Right.WRITE)
    folder = get(tx, mailbox, path)
    if folder.role == "inbox":
        _move_inbox(tx, mailbox, folder, create(tx, mailbox, new_path))
        return
    if folder.role is not None:
        raise errors.FolderProtected()
    names = _names(new_path)
    if find(tx, mailbox, new_path, holds=None) is not None:
        raise errors.FolderExists()
    if "/".join(names).startswith(f"{folder.path}/"):
        raise errors.BadFolderName("A folder cannot be moved into itself.")
    for other in tree(tx, mailbox, holds=None):
        if other.path.startswith(f"{folder.path}/"):
            _names(new_path + other.path.removeprefix(folder.path))
    parent = None
    if len(names) > 1:
        above = "/".join(names[:-1])
        found = find(tx, mailbox, above, holds=None) or create(tx, mailbox, above, holds=folder.holds)
        if found.holds != folder.holds:
            raise errors.BadFolderName(_OTHER_KIND)
        parent = found.id
    modseq = mailboxes.advance(tx, mailbox.id)
    queries.place(tx, folder.id, parent=parent, name=names[-1], modseq=modseq)
    tx.changes.add(mailbox.id, folder.id)


def delete(tx: Tx, mailbox: Mailbox, path: str) -> None:
    """Delete a folder with its items; raises `FolderProtected` for system folders and for those with children."""
    mailbox.require(Right.WRITE)
    folder = get(tx, mailbox, path)
    if folder.role is not None:
        raise errors.FolderProtected()
    if any(row[1] == folder.id for row in queries.all_of(tx, mailbox.id)):
        raise errors.FolderProtected("A folder that has folders in it cannot be deleted.")
    modseq = mailboxes.advance(tx, mailbox.id, bytes=-folder.size)
    queries.delete(tx, mailbox.id, folder.id, modseq=modseq)
    if folder.subscribed and len(queries.absent_subscriptions(tx, mailbox.id)) < MAX_FOLDERS:
        queries.subscribe_absent(tx, mailbox.id, folder.path, True)
    tx.changes.add(mailbox.id, folder.id)


def subscribe(tx: Tx, mailbox: Mailbox, path: str, on: bool) -> None:
    """Subscribe to a path or no longer; a path without a folder may be subscribed too (RFC 9051 §6.3.7)."""
    folder = find(tx, mailbox, path)
    if folder is not None:
        queries.subscribe(tx, folder.id, on)
    elif on and len(queries.absent_subscriptions(tx, mailbox.id)) >= MAX_FOLDERS:
        raise errors.LimitExceeded("The mailbox has all the subscriptions it may have.")
    queries.subscribe_absent(tx, mailbox.id, "/".join(_names(path)), on and folder is None)


def absent_subscriptions(tx: Tx, mailbox: Mailbox) -> list[str]:
    """List the subscribed paths that have no folder."""
    return queries.absent_subscriptions(tx, mailbox.id)


def claim_recent(tx: Tx, folder: Folder) -> tuple[int, int]:
    """Claim what no session has seen as recent; gives the first UID and the one after the last (RFC 3501 §2.3.2)."""
    state = queries.state(tx, folder.id)
    if state is None:
        raise errors.FolderNotFound()
    if state.recent_from < state.uidnext:
        queries.claim_recent(tx, folder.id)
    return state.recent_from, state.uidnext


def _move_inbox(tx: Tx, mailbox: Mailbox, inbox: Folder, target: Folder) -> None:
    items.move(tx, mailbox, inbox.id, [(1, inbox.uidnext)], mailbox, target.id)


def _normal(path: str) -> list[str]:
    """Spell the names of a path as they are kept."""
    names = [unicodedata.normalize("NFC", name) for name in path.split("/")]
    if names[0].lower() == "inbox":
        names[0] = "Inbox"
    return names


def _names(path: str) -> list[str]:
    """Give the names of a path a folder may have; raises `BadFolderName`."""
    names = _normal(path)
    if len(names) > MAX_DEPTH or len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        raise errors.BadFolderName("The folder would lie too deep.")
    for name in names:
        if not name or name in (".", "..") or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
            raise errors.BadFolderName()
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise errors.BadFolderName()
    return names


def _folder(row: queries.Row, mailbox: int, path: str) -> Folder:
    return Folder(
        id=row[0],
        mailbox=mailbox,
        parent=row[1],
        name=row[2],
        path=path,
        role=row[3],
        holds=row[4],
        uidvalidity=row[5],
        uidnext=row[6],
        modseq=row[7],
        total=row[8],
        unseen=row[9],
        size=row[10],
        subscribed=bool(row[11]),
        recent_from=row[12],
    )
