"""What one session knows of its folder."""

from postroom.mailbox.folders import Folder
from postroom.protocols.imap.session import Selected

FOLDER = Folder(1, 1, None, "Inbox", "Inbox", "inbox", "message", 1, 100, 9, 99, 99, 99, True, 1)


def test_what_is_recent_is_kept_as_runs() -> None:
    selected = Selected(FOLDER, range(1, 100), {}, read_only=False, condstore=False)
    for first in range(1, 50):
        selected.claim(first, first + 1)
    assert selected.claim(60, 60) == b"* 49 RECENT\r\n"
    assert selected.claim(60, 62) == b"* 51 RECENT\r\n"
    assert selected.recent == [(1, 49), (60, 61)]
