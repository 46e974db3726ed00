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


def test_a_branch_cannot_be_moved_into_itself_however_it_is_spelled(desk: Desk) -> None:
    folders.create(desk.tx, desk.mailbox, "\u00c4pfel")
    with pytest.raises(errors.BadFolderName):
        folders.rename(desk.tx, desk.mailbox, "\u00c4pfel", "A\u0308pfel/below")
    folders.create(desk.tx, desk.mailbox, "Inbox/below")
    with pytest.raises(errors.BadFolderName):
        folders.rename(desk.tx, desk.mailbox, "Inbox/below", "INBOX/below/deeper")


def test_a_branch_cannot_be_moved_too_deep(desk: Desk) -> None:
    half = "/".join("a" * 20)
    folders.create(desk.tx, desk.mailbox, half)
    folders.create(desk.tx, desk.mailbox, half.replace("a", "b"))
    with pytest.raises(errors.BadFolderName):
        folders.rename(desk.tx, desk.mailbox, "a", half.replace("a", "b") + "/a")
    folders.rename(desk.tx, desk.mailbox, "a", half.replace("a", "b")[:23] + "/a")


def test_a_path_has_an_end(desk: Desk) -> None:
    path = "/".join(["x" * 249] * 4)
    folders.create(desk.tx, desk.mailbox, path)
    with pytest.raises(errors.BadFolderName):
        folders.create(desk.tx, desk.mailbox, path + "/xx")
    with pytest.raises(errors.BadFolderName):
        folders.rename(desk.tx, desk.mailbox, "x" * 249, "x" * 251)


def test_folders_of_other_kinds_are_out_of_the_way(desk: Desk) -> None:
    assert folders.find(desk.tx, desk.mailbox, "Calendar") is None
    assert folders.get(desk.tx, desk.mailbox, "Calendar", holds="event").role == "calendar"
    assert folders.get(desk.tx, desk.mailbox, "Calendar", holds=None).role == "calendar"
    folders.create(desk.tx, desk.mailbox, "A")
    with pytest.raises(errors.FolderExists):
        folders.create(desk.tx, desk.mailbox, "Calendar")
    with pytest.raises(errors.FolderExists):
        folders.rename(desk.tx, desk.mailbox, "A", "Calendar")
    with pytest.raises(errors.BadFolderName):
        folders.create(desk.tx, desk.mailbox, "Calendar/A")
    with pytest.raises(errors.BadFolderName):
        folders.rename(desk.tx, desk.mailbox, "A", "Calendar/A")
    assert folders.create(desk.tx, desk.mailbox, "Calendar/Team", holds="event").holds == "event"


def test_only_ascii_spells_the_inbox(desk: Desk) -> None:
    assert folders.create(desk.tx, desk.mailbox, "\u0131nbox").path == "\u0131nbox"


def test_subscriptions_know_one_spelling(desk: Desk) -> None:
    folders.subscribe(desk.tx, desk.mailbox, "A\u0308pfel", True)
    assert folders.absent_subscriptions(desk.tx, desk.mailbox) == ["\u00c4pfel"]
    folders.create(desk.tx, desk.mailbox, "A\u0308pfel")
    assert folders.absent_subscriptions(desk.tx, desk.mailbox) == []


def test_a_renamed_folder_leaves_no_second_subscription(desk: Desk) -> None:
    folders.create(desk.tx, desk.mailbox, "Old")
    folders.subscribe(desk.tx, desk.mailbox, "New", True)
    folders.rename(desk.tx, desk.mailbox, "Old", "New")
    folders.subscribe(desk.tx, desk.mailbox, "New", False)
    assert folders.absent_subscriptions(desk.tx, desk.mailbox) == []
    assert not desk.folder("New").subscribed


def test_deleting_does_not_pile_up_subscriptions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_FOLDERS", 12)
    for number in range(20):
        folders.create(desk.tx, desk.mailbox, f"f{number}")
        folders.delete(desk.tx, desk.mailbox, f"f{number}")
    assert len(folders.absent_subscriptions(desk.tx, desk.mailbox)) == 12


def test_folders_and_subscriptions_have_an_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    born = len(folders.tree(desk.tx, desk.mailbox, holds=None))
    monkeypatch.setattr(folders, "MAX_FOLDERS", born + 2)
    with pytest.raises(errors.LimitExceeded):
        folders.create(desk.tx, desk.mailbox, "A/B/C")
    folders.create(desk.tx, desk.mailbox, "A/B")
    for number in range(born + 2):
        folders.subscribe(desk.tx, desk.mailbox, f"f{number}", True)
    with pytest.raises(errors.LimitExceeded):
        folders.subscribe(desk.tx, desk.mailbox, "one more", True)
