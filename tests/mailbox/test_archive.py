"""What goes into an archive and under which names."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mailbox import archive, folders, items
from postroom.model.flags import Flag
from tests.mailbox.conftest import letter


@dataclass(frozen=True)
class Named:
    id: int
    name: str
    path: str
    parent: int | None = None


def paths(*names: str) -> list[str]:
    found = [Named(number, name, name) for number, name in enumerate(names)]
    return list(archive.safe_paths(found).values())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Inbox", "Inbox"),
        ("..", "_"),
        ("...", "_"),
        ("a/../../etc", "a_.._.._etc"),
        ("..\\up", ".._up"),
        ("C:evil", "C_evil"),
        ("~root", "_~root"),
        ("bell\x07\x1b[31m", "bell__[31m"),
        ("exe\u202egnp", "exe_gnp"),
        ("line\u2028break", "line_break"),
        ("trailing. . ", "trailing"),
        ("  leading", "leading"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("console", "console"),
        ("0000000001.eml", "_0000000001.eml"),
        ("ü" * 100, "ü" * 60),
        ("e\u0301", "\u00e9"),
        ("日本語", "日本語"),
        ("", "_"),
    ],
)
def test_a_name_is_made_safe(name, safe):
    assert archive.safe_name(name) == safe


@given(st.text(max_size=300))
def test_no_name_leads_out(name):
    safe = archive.safe_name(name)
    assert safe not in ("", ".", "..")
    assert not set(safe) & set('/\\:*?"<>|\0\r\n')
    assert len(safe.encode()) <= archive.MAX_NAME_BYTES + 1
    assert safe == safe.strip(" ").rstrip(".")


def test_names_that_differ_in_case_alone_are_told_apart():
    assert paths("Mail", "MAIL", "mail (2)", "straße", "STRASSE") == ["Mail/", "MAIL (2)/", "mail (2) (2)/", "straße/", "STRASSE (2)/"]


def test_thousands_of_names_alike_are_numbered_at_once(monkeypatch):
    folded = []
    monkeypatch.setattr(archive, "_folded", lambda path: folded.append(path) or path.casefold())
    found = paths(*["a:"] * 3000)
    assert (found[0], found[-1], len(set(found))) == ("a_/", "a_ (3000)/", 3000)
    assert len(folded) < 10_000


def test_children_follow_their_parents_and_known_folders_keep_their_names():
    found = [Named(1, "A", "A"), Named(2, "x", "A/x", 1), Named(3, "a", "a"), Named(4, "x", "a/x", 3)]
    assert archive.safe_paths(found, {3: "A/"}) == {3: "A/", 1: "A (2)/", 2: "A (2)/x/", 4: "A/x/"}  # type: ignore[arg-type]


def read(desk, plan):
    found, stage, uid = [], 0, archive.BEFORE
    while batch := archive.batch(desk.tx, plan, stage, uid):
        found += batch
        stage, uid = batch[-1].stage, batch[-1].uid
    return found


def test_a_mailbox_is_read_in_order(desk, monkeypatch):
    monkeypatch.setattr(archive, "ROWS", 2)
    folders.create(desk.tx, desk.mailbox, "Work/Old")
    raws = [letter(f"number {number}") for number in range(5)]
    for raw in raws:
        desk.put(raw)
    desk.put(raws[0], "Work/Old", received_at=1000.0)
    plan = archive.plan(desk.tx, desk.mailbox)
    found = read(desk, plan)
    assert [(item.name, item.raw) for item in found if item.content] == [
        *((f"Inbox/{number + 1:010d}.eml", raw) for number, raw in enumerate(raws)),
        ("Work/Old/0000000001.eml", raws[0]),
    ]
    assert found[-1].modified == 1000
    assert {item.name for item in found if not item.content} == {f"{one.path}/" for one in folders.tree(desk.tx, desk.mailbox, holds=None)}
    assert plan.bytes == sum(map(len, [*raws, raws[0]]))
    assert plan.folders == len(folders.tree(desk.tx, desk.mailbox, holds=None))


def test_large_messages_are_read_one_by_one(desk, monkeypatch):
    for number in range(3):
        desk.put(letter(f"number {number}"))
    plan = archive.plan(desk.tx, desk.mailbox)
    assert len([item for item in archive.batch(desk.tx, plan, 0, 0) if item.raw]) == 3
    monkeypatch.setattr(archive, "BYTES", 1)
    assert [item.uid for item in archive.batch(desk.tx, plan, 0, 1)] == [2]


def test_what_comes_meanwhile_is_read_at_the_end(desk):
    folders.create(desk.tx, desk.mailbox, "Work")
    desk.put(letter("early"))
    desk.put(letter("to be moved"), "Work")
    desk.put(letter("deleted before its turn"), "Work", flags=int(Flag.DELETED))
    plan = archive.plan(desk.tx, desk.mailbox)
    first = archive.batch(desk.tx, plan, 0, archive.BEFORE)
    assert first[1].name == "Inbox/0000000001.eml"
    items.move(desk.tx, desk.mailbox, desk.folder("Work").id, [(1, 1)], desk.mailbox, desk.folder().id)
    items.expunge(desk.tx, desk.mailbox, desk.folder("Work").id)
    folders.create(desk.tx, desk.mailbox, "New")
    desk.put(letter("late"), "New")
    assert not [item for item in archive.batch(desk.tx, plan, 1, archive.BEFORE) if item.content]
    added = archive.again(desk.tx, desk.mailbox, plan)
    late = archive.batch(desk.tx, added, len(plan.stages), archive.BEFORE)
    assert [item.name for item in late] == ["Inbox/0000000002.eml", "New/", "New/0000000001.eml"]
    assert added.folders == plan.folders + 1


def test_what_is_moved_once_more_is_not_missed(desk):
    """From a folder that was asked for what came since into one that has been read again."""
    folders.create(desk.tx, desk.mailbox, "Work")
    raw = letter("wanders")
    plan = archive.plan(desk.tx, desk.mailbox)
    first = read(desk, plan)
    desk.put(raw, "Work")
    added = archive.again(desk.tx, desk.mailbox, plan)
    items.move(desk.tx, desk.mailbox, desk.folder("Work").id, [(1, 1)], desk.mailbox, desk.folder().id)
    assert read(desk, added) == first
    last = archive.again(desk.tx, desk.mailbox, added)
    assert [item.name for item in read(desk, last)[len(first) :]] == ["Inbox/0000000001.eml"]
    assert not last.complete
    assert archive.again(desk.tx, desk.mailbox, last).complete
    assert last.folders == plan.folders


def test_a_mailbox_that_never_rests_is_left(desk, monkeypatch):
    monkeypatch.setattr(archive, "PASSES", 2)
    plan = archive.plan(desk.tx, desk.mailbox)
    for complete in (False, True):
        desk.put(letter("one more"))
        plan = archive.again(desk.tx, desk.mailbox, plan)
        assert plan.complete is complete


def test_other_kinds_are_counted_and_events_are_calendar_files(desk):
    for kind in ("event", "contact"):
        put = desk.put(letter(kind))
        desk.tx.run("UPDATE items SET kind = :kind WHERE organization = :organization AND uid = :uid", kind=kind, uid=put.uid)
    found = [(item.name, item.raw is None) for item in read(desk, archive.plan(desk.tx, desk.mailbox)) if item.content]
    assert found == [("Inbox/0000000001.ics", False), ("", True)]


def test_a_damaged_message_keeps_nothing_back(desk):
    put = desk.put(letter("damaged"))
    desk.put(letter("sound"))
    desk.tx.run("DELETE FROM blobs WHERE organization = :organization AND id = (SELECT content FROM items WHERE uid = :uid)", uid=put.uid)
    assert [item.raw is None for item in read(desk, archive.plan(desk.tx, desk.mailbox)) if item.content] == [True, False]
