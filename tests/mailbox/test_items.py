"""Items: UIDs, flags, counts, quota, copies and the change log."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from postroom.mailbox import access, changes, contents, folders, items, keywords, quota
from postroom.mailbox.access import Mailbox
from postroom.model import errors
from postroom.model.actors import Actor, Client, Protocol
from postroom.model.flags import Flag
from postroom.storage.engine import Tx
from tests.mailbox.conftest import Desk, letter

ALL = [(1, 1 << 40)]


def test_uids_grow_and_are_never_used_again(desk: Desk) -> None:
    given = [desk.put(letter(str(n))).uid for n in range(3)]
    inbox = desk.folder().id
    items.set_flags(desk.tx, desk.mailbox, inbox, [(3, 3)], "add", Flag.DELETED)
    assert items.expunge(desk.tx, desk.mailbox, inbox) == [3]
    assert [*given, desk.put(letter("again")).uid] == [1, 2, 3, 4]
    assert items.uids(desk.tx, inbox) == [1, 2, 4]


def test_counts_follow_every_change(desk: Desk) -> None:
    sizes = [len(letter(str(n))) for n in range(4)]
    for n in range(4):
        desk.put(letter(str(n)), flags=Flag.SEEN if n == 0 else 0)
    inbox = desk.folder()
    assert (inbox.total, inbox.unseen, inbox.size) == (4, 3, sum(sizes))
    items.set_flags(desk.tx, desk.mailbox, inbox.id, [(1, 3)], "add", Flag.SEEN)
    assert desk.folder().unseen == 1
    items.set_flags(desk.tx, desk.mailbox, inbox.id, [(2, 4)], "remove", Flag.SEEN)
    assert desk.folder().unseen == 3
    items.move(desk.tx, desk.mailbox, inbox.id, [(2, 2)], desk.mailbox, desk.folder("Drafts").id)
    items.copy(desk.tx, desk.mailbox, inbox.id, [(1, 1)], desk.mailbox, desk.folder("Drafts").id)
    assert (desk.folder().total, desk.folder().unseen) == (3, 2)
    assert (desk.folder("Drafts").total, desk.folder("Drafts").unseen) == (2, 1)
    assert quota.usage(desk.tx, desk.mailbox)[0] == sum(sizes) + sizes[0]
    items.set_flags(desk.tx, desk.mailbox, inbox.id, ALL, "replace", Flag.DELETED)
    items.expunge(desk.tx, desk.mailbox, inbox.id, [(1, 3)])
    assert (desk.folder().total, desk.folder().unseen, desk.folder().size) == (1, 1, sizes[3])


def test_the_log_tells_what_changed_and_what_is_gone(desk: Desk) -> None:
    desk.put(letter("1"))
    start = desk.put(letter("2")).modseq
    inbox = desk.folder().id
    assert changes.since(desk.tx, inbox, start).changed == []
    stored = items.set_flags(desk.tx, desk.mailbox, inbox, [(1, 2)], "add", Flag.FLAGGED)
    assert [row[0] for row in stored.changed] == [1, 2]
    again = items.set_flags(desk.tx, desk.mailbox, inbox, [(1, 2)], "add", Flag.FLAGGED)
    assert again.changed == [] or again.modseq == stored.modseq
    assert again.modseq == stored.modseq == desk.folder().modseq
    assert desk.put(letter("apart"), "Drafts").modseq == stored.modseq + 1
    items.set_flags(desk.tx, desk.mailbox, inbox, [(1, 1)], "add", Flag.DELETED)
    items.expunge(desk.tx, desk.mailbox, inbox)
    new = desk.put(letter("3"))
    found = changes.since(desk.tx, inbox, start)
    assert found.gone == [1]
    assert [(uid, flags) for uid, flags, _ in found.changed] == [(2, Flag.FLAGGED), (3, 0)]
    assert (found.modseq, found.total, found.uidnext) == (new.modseq, 2, 4)


def test_who_knows_the_next_uid_reads_only_what_is_new(desk: Desk) -> None:
    first = desk.put(letter("1"))
    inbox = desk.folder().id
    desk.put(letter("2"))
    assert changes.effort(desk.tx, inbox, first.modseq, 2, 1) == 1
    assert [row[0] for row in changes.since(desk.tx, inbox, first.modseq, 2).changed] == [2]
    flagged = items.set_flags(desk.tx, desk.mailbox, inbox, [(1, 1)], "add", Flag.DELETED)
    assert changes.effort(desk.tx, inbox, first.modseq, 2, 1) == 3
    assert [row[0] for row in changes.since(desk.tx, inbox, first.modseq, 2).changed] == [1, 2]
    assert changes.since(desk.tx, inbox, flagged.modseq, 3).changed == []
    items.expunge(desk.tx, desk.mailbox, inbox)
    assert changes.effort(desk.tx, inbox, flagged.modseq, 3, 2) == 1
    assert changes.since(desk.tx, inbox, flagged.modseq, 3).gone == [1]


def test_unchanged_since_withholds_a_change(desk: Desk) -> None:
    first = desk.put(letter("1")).modseq
    desk.put(letter("2"))
    inbox = desk.folder().id
    result = items.set_flags(desk.tx, desk.mailbox, inbox, [(1, 2)], "add", Flag.SEEN, unchanged_since=first)
    assert result.failed == [2]
    assert [row[:2] for row in result.changed] == [(1, Flag.SEEN)]


def test_a_full_mailbox_takes_nothing_and_charges_nothing(desk: Desk, make_mailbox: Callable[..., Mailbox]) -> None:
    small = make_mailbox(desk.tx, "bob", 1)
    prepared = contents.prepare(desk.store, small.scope, letter(body="x" * 700_000))
    inbox = folders.by_role(desk.tx, small, "inbox").id
    items.append(desk.tx, small, inbox, prepared)
    used = quota.usage(desk.tx, small)
    with pytest.raises(errors.OverQuota):
        items.append(desk.tx, small, inbox, prepared)
    assert quota.usage(desk.tx, small) == used
    with pytest.raises(errors.OverQuota):
        items.copy(desk.tx, small, inbox, ALL, small, inbox)
    assert items.uids(desk.tx, inbox) == [1]


def test_another_mailbox_is_charged_for_what_is_moved_there(desk: Desk, make_mailbox: Callable[..., Mailbox]) -> None:
    small = make_mailbox(desk.tx, "bob", 1)
    target = folders.by_role(desk.tx, small, "inbox").id
    desk.put(letter(body="x" * 700_000))
    desk.put(letter(body="y" * 700_000))
    items.move(desk.tx, desk.mailbox, desk.folder().id, [(1, 1)], small, target)
    with pytest.raises(errors.OverQuota):
        items.move(desk.tx, desk.mailbox, desk.folder().id, [(2, 2)], small, target)
    assert items.uids(desk.tx, target) == [1]


def test_an_expunge_of_no_messages_is_not_one_of_all(desk: Desk) -> None:
    desk.put(letter(), flags=Flag.DELETED)
    assert items.expunge(desk.tx, desk.mailbox, desk.folder().id, []) == []
    assert items.uids(desk.tx, desk.folder().id) == [1]


def test_every_change_is_told_in_each_folder_it_touches(desk: Desk) -> None:
    inbox, drafts = desk.folder().id, desk.folder("Drafts").id

    def told() -> set[int]:
        found = {folder for _, folder in desk.tx.changes.folders}
        desk.tx.changes.folders.clear()
        return found

    desk.put(letter())
    assert contents.TOPIC in desk.tx.changes.topics
    assert told() == {inbox}
    items.set_flags(desk.tx, desk.mailbox, inbox, ALL, "add", Flag.DELETED)
    assert told() == {inbox}
    items.copy(desk.tx, desk.mailbox, inbox, ALL, desk.mailbox, drafts)
    assert told() == {drafts}
    items.expunge(desk.tx, desk.mailbox, inbox)
    assert told() == {inbox}
    items.move(desk.tx, desk.mailbox, drafts, ALL, desk.mailbox, inbox)
    assert told() == {inbox, drafts}


def test_a_move_keeps_the_item_and_leaves_a_tombstone(desk: Desk) -> None:
    put = desk.put(letter())
    source, target = desk.folder().id, desk.folder("Junk Email").id
    copied = items.move(desk.tx, desk.mailbox, source, ALL, desk.mailbox, target)
    assert copied.pairs == [(1, 1)]
    assert items.rows(desk.tx, target, ALL, ("item",)) == [(put.item,)]
    assert changes.since(desk.tx, source, put.modseq).gone == [1]


def test_keywords_are_spelled_anew_in_another_mailbox(desk: Desk, make_mailbox: Callable[..., Mailbox]) -> None:
    keywords.mask(desk.tx, desk.mailbox, ["$Other"], create=True)
    mask = keywords.mask(desk.tx, desk.mailbox, ["$Forwarded"], create=True)
    assert keywords.mask(desk.tx, desk.mailbox, ["$forwarded", "unknown"], create=False) == mask
    desk.put(letter(), flags=mask | Flag.SEEN)
    bob = make_mailbox(desk.tx, "bob")
    inbox = folders.by_role(desk.tx, bob, "inbox").id
    items.copy(desk.tx, desk.mailbox, desk.folder().id, ALL, bob, inbox)
    [(flags,)] = items.rows(desk.tx, inbox, ALL, ("flags",))
    assert flags & Flag.SEEN
    assert [name for bit, name in keywords.names(desk.tx, bob).items() if flags & bit] == ["$Forwarded"]


def test_a_mailbox_has_room_for_fifty_six_keywords(desk: Desk) -> None:
    keywords.mask(desk.tx, desk.mailbox, [f"k{n}" for n in range(56)], create=True)
    with pytest.raises(errors.TooManyKeywords):
        keywords.mask(desk.tx, desk.mailbox, ["k56"], create=True)


def test_one_content_however_many_items(desk: Desk) -> None:
    desk.put(letter())
    desk.put(letter(), "Drafts")
    rows = desk.tx.all("SELECT count(*) FROM contents WHERE organization = :organization")
    assert rows == [(1,)]


def test_contents_come_back_byte_for_byte(desk: Desk) -> None:
    for raw in (letter(), b"", b"\r\n", b"\x00\xff" * 10, letter(body="y" * 400_000)):
        desk.put(raw, "Drafts")
        content = items.rows(desk.tx, desk.folder("Drafts").id, ALL, ("content", "size"))[-1]
        assert contents.read(desk.tx, content[0]) == raw
        assert content[1] == len(raw)


def test_every_line_of_a_content_ends_with_crlf(desk: Desk) -> None:
    desk.put(b"Subject: x\n\none\r\ntwo\n.\n")
    [(content,)] = items.rows(desk.tx, desk.folder().id, ALL, ("content",))
    assert contents.read(desk.tx, content) == b"Subject: x\r\n\r\none\r\ntwo\r\n.\r\n"


def test_the_sweep_takes_what_nothing_refers_to(desk: Desk) -> None:
    desk.put(letter(body="z" * 400_000))
    kept = desk.put(letter("kept"))
    inbox = desk.folder().id
    items.set_flags(desk.tx, desk.mailbox, inbox, [(1, 1)], "add", Flag.DELETED)
    items.expunge(desk.tx, desk.mailbox, inbox)
    assert contents.sweep(desk.tx, unused_for=3600) == (2, 0)
    assert contents.sweep(desk.tx, unused_for=-1) == (2, 1)
    assert contents.sweep(desk.tx, unused_for=-1, after=2) == (0, 0)
    assert contents.sweep_files(desk.tx, older_than=3600) == 0
    assert contents.sweep_files(desk.tx, older_than=-1) == 1
    [(content,)] = items.rows(desk.tx, inbox, ALL, ("content",))
    assert contents.read(desk.tx, content) == letter("kept")
    assert kept.uid == 2


def test_only_the_owner_opens_a_mailbox(desk: Desk, make_mailbox: Callable[[Tx, str], Mailbox]) -> None:
    make_mailbox(desk.tx, "bob")
    alice = Actor(1, "m-1", "alice", "alice@example.test", Client(Protocol.IMAP, "::1", True))
    for owner in ("bob", "nobody"):
        with pytest.raises(errors.NotPermitted):
            access.open_mailbox(desk.tx, alice, owner, access.Right.READ)
    with pytest.raises(errors.NotPermitted):
        folders.create(desk.tx, access.open_for_delivery(desk.tx, "bob"), "X")
    elsewhere = replace(alice, scope=2)
    with pytest.raises(errors.NotPermitted):
        access.open_mailbox(desk.tx, elsewhere, "alice", access.Right.READ)


def test_who_only_reads_changes_nothing(desk: Desk) -> None:
    desk.put(letter(), flags=Flag.DELETED)
    folders.create(desk.tx, desk.mailbox, "A")
    owner, reader = desk.mailbox, replace(desk.mailbox, right=access.Right.READ)
    inbox, drafts = desk.folder().id, desk.folder("Drafts").id
    attempts: list[Callable[[], object]] = [
        lambda: items.set_flags(desk.tx, reader, inbox, ALL, "add", Flag.SEEN),
        lambda: items.copy(desk.tx, owner, inbox, ALL, reader, drafts),
        lambda: items.move(desk.tx, reader, inbox, ALL, owner, drafts),
        lambda: items.move(desk.tx, owner, inbox, ALL, reader, drafts),
        lambda: items.expunge(desk.tx, reader, inbox),
        lambda: folders.create(desk.tx, reader, "B"),
        lambda: folders.rename(desk.tx, reader, "A", "B"),
        lambda: folders.delete(desk.tx, reader, "A"),
    ]
    for attempt in attempts:
        with pytest.raises(errors.NotPermitted):
            attempt()
