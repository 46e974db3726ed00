"""What one session knows of its folder."""

import pytest

from postroom.mailbox.access import Mailbox, Right
from postroom.mailbox.changes import Changes
from postroom.mailbox.folders import Folder
from postroom.model.actors import Actor, Client, Protocol
from postroom.model.errors import FolderNotFound
from postroom.protocols.imap import updates
from postroom.protocols.imap.grammar.commands import Authenticate, Login
from postroom.protocols.imap.session import Caught, Selected, Session
from postroom.protocols.imap.settings import Settings
from postroom.protocols.imap.steps import Look, Write
from postroom.protocols.imap.view import Remembered

MAILBOX = Mailbox(1, 1, "alice", Right.WRITE)
FOLDER = Folder(1, 1, None, "Inbox", "Inbox", "inbox", "message", 1, 100, 9, 99, 99, 99, True, 1)


def test_what_is_recent_is_kept_as_runs() -> None:
    selected = Selected(MAILBOX, FOLDER, range(1, 100), {}, read_only=False, condstore=False)
    for first in range(1, 50):
        selected.claim(first, first + 1)
    assert selected.claim(60, 60) == b"* 49 RECENT\r\n"
    assert selected.claim(60, 62) == b"* 51 RECENT\r\n"
    assert selected.recent == [(1, 49), (60, 61)]


def test_a_folder_may_go_while_its_new_mail_is_told() -> None:
    session = Session(Settings(), Client(Protocol.IMAP, "127.0.0.1", True), Remembered(0), tls=False)
    session.mailbox = MAILBOX
    session.selected = Selected(MAILBOX, FOLDER, range(1, 100), {}, read_only=False, condstore=False)
    session.stale = True
    steps = updates.announce(session, expunges=True)
    assert isinstance(next(steps), Look)
    assert isinstance(steps.send(Caught(Changes(10, [(100, 0, 10)], [], 101, 100), None)), Write)
    with pytest.raises(StopIteration) as ended:
        steps.throw(FolderNotFound())
    assert ended.value.value.startswith(b"* BYE ")
    assert session.leaving


def test_no_command_shows_a_password() -> None:
    assert "secret" not in repr([Login(b"alice", b"secret"), Authenticate(b"PLAIN", b"secret")])


def test_who_has_not_come_in_yet_cannot_have_stayed_too_long() -> None:
    """Such a client may still be refused, and whoever is asked about it then would find nobody to ask about."""
    session = Session(Settings(), Client(Protocol.IMAP, "127.0.0.1", True), Remembered(0), tls=False)
    session.actor = Actor(1, "m-1", "alice", "alice@a.test", session.client, until=5.0)
    assert not session.expired(9.0)
    session.mailbox = MAILBOX
    assert session.expired(9.0)
    assert not session.expired(4.0)
