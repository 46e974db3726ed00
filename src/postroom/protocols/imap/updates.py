"""What a client is told beyond the answer to its command: new mail, changed flags, what has gone (RFC 3501 §7)."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from postroom.mailbox import changes, folders
from postroom.mailbox.access import Mailbox
from postroom.mailbox.folders import Folder
from postroom.model.errors import FolderNotFound
from postroom.protocols.imap.session import Caught, Selected, Session, catch_up
from postroom.protocols.imap.steps import Look, Step, Write
from postroom.storage.engine import Tx

T = TypeVar("T")
_END = (1 << 62) - 1


def announce(session: Session, *, expunges: bool) -> Generator[Step, Any, bytes]:
    """Give the untagged answers that bring the client up to date; nothing is read unless something has changed."""
    selected = session.selected
    if selected is None or not (session.stale or (expunges and selected.held)):
        return b""
    session.stale = False
    try:
        caught: Caught = yield Look(catch_up, session.own, selected)
        return (yield from tell(session, selected, caught, expunges=expunges))
    except FolderNotFound:
        session.leaving = True
        return b"* BYE The mailbox has been deleted.\r\n"


def tell(session: Session, selected: Selected, caught: Caught, *, expunges: bool) -> Generator[Step, Any, bytes]:
    """Give the untagged answers for what has been read, and claim new messages as \\Recent."""
    before = selected.uidnext
    out = selected.news(caught, expunges=expunges)
    if selected.uidnext > before and not selected.read_only:
        first, until = yield Write(claim, selected.folder)
        out += selected.claim(first, until)
    return out


def claim(tx: Tx, folder: Folder) -> tuple[int, int]:
    """Claim what no session has seen as \\Recent; gives the first UID and the one after the last (RFC 3501 §2.3.2)."""
    first = folders.claim_recent(tx, folder)
    return first, changes.since(tx, folder.id, _END).uidnext


def quietly(tx: Tx, mailbox: Mailbox, selected: Selected, function: Callable[..., T], *args: Any) -> tuple[Caught, T]:
    """Read what others have changed, then change something oneself: so one's own change is not told again."""
    caught = catch_up(tx, mailbox, selected)
    return caught, function(tx, *args)


def aloud(tx: Tx, mailbox: Mailbox, selected: Selected, function: Callable[..., T], *args: Any) -> tuple[T, Caught]:
    """Change something, then read all that has changed: so one's own change is told with the others'."""
    result = function(tx, *args)
    return result, catch_up(tx, mailbox, selected)
