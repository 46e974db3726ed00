"""Folders: the names a mailbox is born with, and what may become of them."""

import pytest

from postroom.mailbox import folders
from postroom.model import errors
from tests.mailbox.conftest import Desk, letter


def paths(desk: Desk) -> list[str]:
    return [folder.path for folder in folders.tree(desk.tx, desk.mailbox)]


def test_a_mailbox_is_born_with_the_folders_of_workmail(desk: Desk) -> None:
    assert paths(desk) == ["Inbox", "Deleted Items", "Drafts", "Junk Email", "Sent Items"]
    kinds = {folder.holds for folder in folders.tree(desk.tx, desk.mailbox, holds=None)}
    assert kinds == {"message", "event", "contact", "task", "note"}


def test_create_makes_parents_and_refuses_what_exists(desk: Desk) -> None:
    made = folders.create(desk.tx, desk.mailbox, "Work/2026/Äpfel")
    assert made.path == "Work/2026/Äpfel"
    assert {"Work", "Work/2026"} <= set(paths(desk))
    for path in ("Work", "inbox", "Work/2026/A\u0308pfel"):
        with pytest.raises(errors.FolderExists):
            folders.create(desk.tx, desk.mailbox, path)


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "a\nb", "x" * 256, "/".join("a" * 33), ".."])
def test_impossible_names_are_refused(desk: Desk, path: str) -> None:
    with pytest.raises(errors.BadFolderName):
        folders.create(desk.tx, desk.mailbox, path)


def test_the_inbox_has_no_case(desk: Desk) -> None:
    assert folders.find(desk.tx, desk.mailbox, "iNbOx") == desk.folder("Inbox")
    folders.create(desk.tx, desk.mailbox, "INBOX/below")
    assert "Inbox/below" in paths(desk)


def test_delete_takes_the_items_and_their_bytes_from_the_quota(desk: Desk) -> None:
    from postroom.mailbox import quota

    folders.create(desk.tx, desk.mailbox, "Old")
    desk.put(letter(), "Old")
    assert quota.usage(desk.tx, desk.mailbox)[0] > 0
    folders.delete(desk.tx, desk.mailbox, "Old")
    assert quota.usage(desk.tx, desk.mailbox)[0] == 0
    with pytest.raises(errors.FolderNotFound):
        folders.get(desk.tx, desk.mailbox, "Old")


def test_system_folders_and_parents_are_protected(desk: Desk) -> None:
    folders.create(desk.tx, desk.mailbox, "A/B")
    for path in ("Inbox", "Sent Items", "A"):
        with pytest.raises(errors.FolderProtected):
            folders.delete(desk.tx, desk.mailbox, path)
    with pytest.raises(errors.FolderProtected):
        folders.rename(desk.tx, desk.mailbox, "Drafts", "Sketches")


def test_rename_moves_the_whole_branch_and_keeps_uidvalidity(desk: Desk) -> None:
    before = folders.create(desk.tx, desk.mailbox, "A/B")
    folders.create(desk.tx, desk.mailbox, "A/B/C")
    folders.rename(desk.tx, desk.mailbox, "A/B", "X/Y/Z")
    assert "X/Y/Z/C" in paths(desk)
    assert desk.folder("X/Y/Z").uidvalidity == before.uidvalidity
    with pytest.raises(errors.BadFolderName):
        folders.rename(desk.tx, desk.mailbox, "X", "X/Y/below")
    with pytest.raises(errors.FolderExists):
        folders.rename(desk.tx, desk.mailbox, "A", "X")


def test_renaming_the_inbox_moves_its_mail_and_leaves_it(desk: Desk) -> None:
    desk.put(letter())
    folders.rename(desk.tx, desk.mailbox, "INBOX", "Before")
    assert desk.folder("Inbox").total == 0
    assert desk.folder("Before").total == 1


def test_a_folder_made_again_has_a_greater_uidvalidity(desk: Desk) -> None:
    first = folders.create(desk.tx, desk.mailbox, "Again").uidvalidity
    folders.delete(desk.tx, desk.mailbox, "Again")
    assert folders.create(desk.tx, desk.mailbox, "Again").uidvalidity > first


def test_subscriptions_outlive_folders(desk: Desk) -> None:
    folders.create(desk.tx, desk.mailbox, "List")
    folders.delete(desk.tx, desk.mailbox, "List")
    assert folders.absent_subscriptions(desk.tx, desk.mailbox) == ["List"]
    folders.subscribe(desk.tx, desk.mailbox, "List", False)
    assert folders.absent_subscriptions(desk.tx, desk.mailbox) == []
    folders.subscribe(desk.tx, desk.mailbox, "Inbox", False)
    assert not desk.folder("Inbox").subscribed
