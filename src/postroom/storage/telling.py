"""What processes on one store tell each other: the changes of transactions, as short lines of JSON."""

from collections.abc import Sequence

import msgspec

from postroom.storage.notifier import Changes

AT_ONCE = 80
"""Folders in one line, which so has less than 4,096 octets: what a pipe takes in one piece, and half of what a NOTIFY may have."""


class Told(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One line."""

    sender: str
    scope: int
    folders: list[tuple[int, int]]
    topics: list[str] = []

    @property
    def changes(self) -> Changes:
        """The changes as the notifier takes them."""
        changes = Changes()
        changes.folders.update(self.folders)
        changes.topics.update(self.topics)
        return changes


def lines(sender: str, scope: int, changes: Sequence[Changes], *, topics: bool) -> list[bytes]:
    """Word which folders have changed and, for whoever leaves the work to others, which topics have been woken."""
    folders = sorted({pair for change in changes for pair in change.folders})
    woken = sorted({topic for change in changes for topic in change.topics}) if topics else []
    pages = [folders[at : at + AT_ONCE] for at in range(0, len(folders), AT_ONCE)] or ([[]] if woken else [])
    return [msgspec.json.encode(Told(sender, scope, page, [] if at else woken)) for at, page in enumerate(pages)]


def heard(line: str | bytes) -> Told:
    """Read a line; raises `ValueError` where it is not one, or another version's."""
    try:
        return msgspec.json.decode(line, type=Told)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a line that tells of changes: {error}") from error
