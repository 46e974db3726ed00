"""What one client has: who it is, its mailbox, the folder it has selected, perhaps in another's, and what it knows of it.

A folder changes under its readers. Each session keeps a position in the folder's change log; `Selected.news` brings it up to a later
one and gives the untagged answers that say so. Removals are held back while the client may still name messages by number
(RFC 3501 §7.4.1) and told with the next command that allows it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntFlag

from postroom.mailbox import changes, keywords
from postroom.mailbox.access import Mailbox
from postroom.mailbox.changes import Changes
from postroom.mailbox.folders import Folder
from postroom.model import errors
from postroom.model.actors import Actor, Client
from postroom.protocols.imap.grammar.answers import RECENT, FlagTexts
from postroom.protocols.imap.places import Origin
from postroom.protocols.imap.settings import Settings
from postroom.protocols.imap.view import Remembered, View
from postroom.storage.engine import Tx
from postroom.storage.notifier import ANY, WHOLE


class State(IntFlag):
    """The states of RFC 3501 §3."""

    STRANGER = 1
    SIGNED_IN = 2
    SELECTED = 4


@dataclass(frozen=True, slots=True)
class Caught:
    """What has changed in a folder, and the names of keywords if there are new ones."""

    changes: Changes
    names: dict[int, str] | None


def catch_up(tx: Tx, selected: "Selected") -> Caught:
    """Read what has changed in the selected folder since the session last looked."""
    found = changes.since(tx, selected.folder.id, selected.modseq, selected.uidnext)
    seen = 0
    for _, flags, _ in found.changed:
        seen |= flags
    return Caught(found, keywords.names(tx, selected.mailbox) if seen & ~selected.texts.known else None)


class Selected:
    """The selected folder as this client knows it, and the mailbox it lies in."""

    __slots__ = ("condstore", "folder", "held", "mailbox", "modseq", "read_only", "recent", "texts", "uidnext", "view")

    def __init__(
        self, mailbox: Mailbox, folder: Folder, uids: Iterable[int], keywords: dict[int, str], *, read_only: bool, condstore: bool
    ) -> None:
        self.mailbox = mailbox
        self.folder = folder
        self.read_only = read_only
        self.condstore = condstore
        self.view = View(uids)
        self.texts = FlagTexts(keywords)
        self.modseq = folder.modseq
        self.uidnext = folder.uidnext
        self.held: list[int] = []
        self.recent: list[tuple[int, int]] = []

    def is_recent(self, uid: int) -> bool:
        """Say whether the message is \\Recent to this session."""
        return any(low <= uid <= high for low, high in self.recent)

    def flags(self, uid: int, flags: int) -> bytes:
        """Write the flags of one message."""
        return self.texts[flags | RECENT if self.recent and self.is_recent(uid) else flags]

    def rename(self, names: dict[int, str]) -> bytes:
        """Take up the names of keywords; gives what the client is told about them."""
        self.texts = FlagTexts(names)
        return self.flag_lines()

    def flag_lines(self) -> bytes:
        """Say which flags there are and which can be set (RFC 3501 §7.2.6 and §7.1)."""
        known = self.texts.all()
        permanent = b"" if self.read_only else known + (b" \\*" if self.texts.has_room else b"")
        return b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] Flags that stay.\r\n" % (known, permanent)

    def news(self, caught: Caught, *, expunges: bool) -> bytes:
        """Move on to a later state of the folder; gives the untagged answers that tell of it."""
        out = [] if caught.names is None else [self.rename(caught.names)]
        found = caught.changes
        self.held += [uid for uid in found.gone if uid < self.uidnext]
        if expunges and self.held:
            out += [b"* %d EXPUNGE\r\n" % number for number in self.view.remove(self.held)]
            self.held = []
        fresh = [uid for uid, _, _ in found.changed if uid >= self.uidnext]
        if fresh:
            self.view.add(fresh)
            out.append(b"* %d EXISTS\r\n" % len(self.view))
        out += self.flag_news(row for row in found.changed if row[0] < self.uidnext)
        self.uidnext = found.uidnext
        self.modseq = max(self.modseq, found.modseq)
        return b"".join(out)

    def flag_news(self, rows: Iterable[tuple[int, int, int]]) -> list[bytes]:
        """Tell the flags of messages the client knows."""
        out = []
        for uid, flags, modseq in rows:
            number = self.view.position(uid) + 1
            if number:
                mark = b" MODSEQ (%d)" % modseq if self.condstore else b""
                out.append(b"* %d FETCH (UID %d FLAGS (%b)%b)\r\n" % (number, uid, self.flags(uid, flags), mark))
        return out

    def claim(self, first: int, until: int) -> bytes:
        """Take the messages from `first` up to `until` as \\Recent; gives the new count."""
        if first < until and self.recent and self.recent[-1][1] == first - 1:
            self.recent[-1] = (self.recent[-1][0], until - 1)
        elif first < until:
            self.recent.append((first, until - 1))
        return b"* %d RECENT\r\n" % self.recent_count()

    def recent_count(self) -> int:
        """Count the \\Recent messages of the view."""
        return sum(stop - start for start, stop in (self.view.within(low, high) for low, high in self.recent))


class Session:
    """One client."""

    __slots__ = (
        "actor",
        "client",
        "condstore",
        "doubtful",
        "doubts",
        "failures",
        "leaving",
        "mailbox",
        "selected",
        "settings",
        "stale",
        "tag",
        "tls",
        "unfollow",
        "views",
    )

    def __init__(self, settings: Settings, client: Client, views: Remembered, *, tls: bool) -> None:
        self.settings = settings
        self.client = client
        self.views = views
        self.tls = tls
        self.actor: Actor | None = None
        self.mailbox: Mailbox | None = None
        self.selected: Selected | None = None
        self.unfollow: Callable[[], None] | None = None  # ends what is heard of another's mailbox
        self.stale = False
        self.doubtful = False  # whether it must be asked again, before anything else, if the client may stay
        self.doubts = 0  # how often there had been doubts when the client began to sign in (`Notifier.doubts`)
        self.leaving = False
        self.condstore = False
        self.failures = 0
        self.tag = b"*"

    @property
    def state(self) -> State:
        """The state that says which commands are allowed."""
        if self.selected is not None:
            return State.SELECTED
        return State.STRANGER if self.actor is None else State.SIGNED_IN

    @property
    def may_sign_in(self) -> bool:
        """Whether a password may be sent on this connection."""
        return self.client.secure or self.settings.clear_sign_in

    @property
    def may_start_tls(self) -> bool:
        """Whether STARTTLS is offered: there is a certificate and no encryption yet."""
        return self.tls and not self.client.secure

    @property
    def own(self) -> Mailbox:
        """The mailbox that this client has as its own."""
        if self.mailbox is None:
            raise errors.NotPermitted()
        return self.mailbox

    @property
    def origin(self) -> Origin:
        """From where names are read."""
        own = self.own
        assert self.actor is not None
        return Origin(self.actor, own)

    @property
    def entered(self) -> list[Mailbox]:
        """The mailboxes in use: the client's own, and the one of the selected folder where that is another's."""
        own, selected = self.own, self.selected
        return [own] if selected is None or selected.mailbox.id == own.id else [own, selected.mailbox]

    @property
    def concerned(self) -> set[int]:
        """The mailboxes of which the client has to hear whatever it does: its own, and that of the user who has signed in."""
        assert self.actor is not None
        return {self.own.id, self.actor.mailbox} - {0}

    def expired(self, now: float) -> bool:
        """Say whether what the client showed has come to its end since it came in."""
        return self.mailbox is not None and self.actor is not None and self.actor.until <= now

    @property
    def open(self) -> Selected:
        """The selected folder; the table of verbs lets none in here without one."""
        if self.selected is None:
            raise errors.FolderNotFound("No mailbox is selected.")
        return self.selected

    def changed(self, folder: int) -> bool:
        """Hear that a folder of the mailbox has changed, or the mailbox itself; says whether it is a matter for the client."""
        if folder == WHOLE:
            self.doubtful = True
            return False
        if self.selected is None or folder not in (ANY, self.selected.folder.id):
            return False
        self.stale = True
        return True

    def leave_folder(self) -> None:
        """Select nothing."""
        self.selected = None
        self.stale = False
        if self.unfollow is not None:
            self.unfollow()
            self.unfollow = None
