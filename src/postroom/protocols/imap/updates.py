"""What a client is told beyond the answer to its command: new mail, changed flags, what has gone (RFC 3501 §7)."""

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from postroom.mailbox import access, changes, folders
from postroom.model.errors import FolderNotFound, NotPermitted, OrganizationNotFound, TryLater
from postroom.policy import sign_in
from postroom.policy.sign_in import Terms
from postroom.protocols.imap.session import Caught, Selected, Session, catch_up
from postroom.protocols.imap.steps import Look, Read, Step, Write
from postroom.storage.engine import Tx

T = TypeVar("T")
CLOSED = b"* BYE The mailbox is closed.\r\n"
LITTLE = 2000
"""Rows that are looked at and told of at once; more wait for a storage thread, so that other clients need not."""


def readmit(session: Session) -> Generator[Step, Any, bytes]:
    """Ask again whether the client may stay, where that is in doubt, before a command is done; gives the goodbye if it may not."""
    if not session.doubtful:
        return b""
    session.doubtful = False
    try:
        goodbyes: list[bytes] = yield Look(goodbyes_of, [session])
    except OrganizationNotFound:
        goodbyes = [CLOSED]
    except BaseException:
        session.doubtful = True
        raise
    session.leaving = session.leaving or bool(goodbyes[0])
    return goodbyes[0]


def goodbyes_of(tx: Tx, sessions: Sequence[Session]) -> list[bytes]:
    """Say goodbye to each client that would not get in any more, and nothing to the others; why is for the log alone."""
    terms = sign_in.load(tx)
    return [_goodbye(tx, session, terms) for session in sessions]


def _goodbye(tx: Tx, session: Session, terms: Terms) -> bytes:
    actor = session.actor
    assert actor is not None
    denial = sign_in.reconsider(tx, actor, terms)
    if denial is not None:
        sign_in.note_end(actor, denial)
        return b"* BYE Sign in again.\r\n" if denial.reason != "unknown" else CLOSED
    try:
        for mailbox in session.entered:
            access.open_mailbox(tx, actor, mailbox.owner, mailbox.right)
    except NotPermitted:
        return CLOSED
    return b""


def announce(session: Session, *, expunges: bool) -> Generator[Step, Any, bytes]:
    """Give the untagged answers that bring the client up to date; nothing is read unless something has changed."""
    selected = session.selected
    if selected is None or not (session.stale or (expunges and selected.held)):
        return b""
    session.stale = False
    try:
        caught: Caught | None = yield Look(_catch_up_on_little, selected)
        if caught is not None:
            return (yield from tell(selected, caught, expunges=expunges))
        before = selected.uidnext
        out: bytes = yield Read(_read_news, selected, expunges)
        return out + (yield from _claim(selected, before))
    except FolderNotFound:
        session.leaving = True
        return b"* BYE The mailbox has been deleted.\r\n"


def tell(selected: Selected, caught: Caught, *, expunges: bool) -> Generator[Step, Any, bytes]:
    """Give the untagged answers for what has been read, and claim new messages as \\Recent."""
    before = selected.uidnext
    out = selected.news(caught, expunges=expunges)
    return out + (yield from _claim(selected, before))


def _catch_up_on_little(tx: Tx, selected: Selected) -> Caught | None:
    """Read what has changed, unless it may be much."""
    known = len(selected.view) - len(selected.held)
    much = changes.effort(tx, selected.folder.id, selected.modseq, selected.uidnext, known) > LITTLE
    return None if much else catch_up(tx, selected)


def _read_news(tx: Tx, selected: Selected, expunges: bool) -> bytes:
    """Read what has changed and bring the session up to it; its command waits meanwhile, so nobody else touches it."""
    return selected.news(catch_up(tx, selected), expunges=expunges)


def _claim(selected: Selected, before: int) -> Generator[Step, Any, bytes]:
    """Claim what has come since a UID as \\Recent; a store that cannot write now must not keep the client from its news."""
    if selected.uidnext <= before or selected.read_only:
        return b""
    try:
        first, until = yield Write(folders.claim_recent, selected.folder)
    except TryLater:
        return b""
    return selected.claim(first, until)


def quietly(tx: Tx, selected: Selected, function: Callable[..., T], *args: Any) -> tuple[Caught, T]:
    """Read what others have changed, then change something oneself: so one's own change is not told again."""
    caught = catch_up(tx, selected)
    return caught, function(tx, *args)


def aloud(tx: Tx, selected: Selected, function: Callable[..., T], *args: Any) -> tuple[T, Caught]:
    """Change something, then read all that has changed: so one's own change is told with the others'."""
    result = function(tx, *args)
    return result, catch_up(tx, selected)
