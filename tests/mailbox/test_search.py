"""Search: every condition, alike on both engines."""

import pytest

from postroom.mailbox import contents, items
from postroom.model.flags import Flag
from postroom.model.search import (
    All,
    And,
    Body,
    Field,
    HasFlags,
    Header,
    LacksFlags,
    Larger,
    Modseq,
    Not,
    Or,
    Query,
    Received,
    Sent,
    Smaller,
    Text,
    Uids,
)
from tests.mailbox.conftest import Desk, letter


@pytest.fixture(params=["indexed", "waiting", "some of each"])
def full(desk: Desk, request: pytest.FixtureRequest) -> Desk:
    """Four letters; each search is tried on letters in the word index and on those not yet there."""
    desk.put(letter("Quarterly report", "The numbers are fine, don't worry.", Date="Mon, 05 Jan 2026 10:00:00 +0000"))
    desk.put(letter("Grüße aus Köln", "Das Wetter ist schön. snake_case too", Cc="carol@x.test"), flags=Flag.SEEN)
    desk.put(
        letter("=?utf-8?q?R=C3=A9sum=C3=A9?=", "foo bar\r\nfoobar 100% of a:b", **{"X-Mark": "Red Green"}),
        received_at=1_000_000_000,
    )
    desk.put(letter("big", "lorem ipsum " * 500), flags=Flag.FLAGGED | Flag.SEEN)
    if request.param != "waiting":
        contents.index(desk.tx, contents.unindexed(desk.tx, 10 if request.param == "indexed" else 2))
    return desk


CASES: list[tuple[Query, list[int]]] = [
    (All(), [1, 2, 3, 4]),
    (Text("report"), [1]),
    (Text("REPOR"), [1]),
    (Text("eport"), [1]),
    (Body("report"), []),
    (Body("numbers are"), [1]),
    (Body("mbers ar"), [1]),
    (Body("numbers fine"), []),
    (Body("don't"), [1]),
    (Body("schön"), [2]),
    (Body("snake_case"), [2]),
    (Body("foobar"), [3]),
    (Body("oo ba"), [3]),
    (Body("100%"), [3]),
    (Body("a:b"), [3]),
    (Body("%"), [3]),
    (Body("nowhere"), []),
    (Body("'; DROP TABLE words; --"), []),
    (Body('foo" OR "bar'), []),
    (Text("köln"), [2]),
    (Text("Résumé"), [3]),
    (Field("subject", "GRÜSSE"), [2]),
    (Field("subject", "résumé"), [3]),
    (Field("from", "BOB@other"), [1, 2, 3, 4]),
    (Field("cc", "carol"), [2]),
    (Field("bcc", "carol"), []),
    (Header("X-Mark", "green"), [3]),
    (Header("x-mark", ""), [3]),
    (Header("Subject", "report"), [1]),
    (Header("To", "report"), []),
    (HasFlags(Flag.SEEN), [2, 4]),
    (HasFlags(Flag.SEEN | Flag.FLAGGED), [4]),
    (LacksFlags(Flag.SEEN), [1, 3]),
    (Larger(5000), [4]),
    (Smaller(5000), [1, 2, 3]),
    (Received(high=1_100_000_000), [3]),
    (Received(low=1_100_000_000), [1, 2, 4]),
    (Sent(low=1_767_571_200, high=1_767_657_600), [1]),
    (Uids(((2, 3), (4, 4))), [2, 3, 4]),
    (Uids(()), []),
    (Modseq(0), [1, 2, 3, 4]),
    (Not(Text("foo")), [1, 2, 4]),
    (Not(Body("numbers are")), [2, 3, 4]),
    (Or(Text("report"), HasFlags(Flag.FLAGGED)), [1, 4]),
    (And((HasFlags(Flag.SEEN), Not(Body("lorem ipsum")))), [2]),
    (And(()), [1, 2, 3, 4]),
]


@pytest.mark.parametrize(("query", "uids"), CASES, ids=[repr(query) for query, _ in CASES])
def test_conditions(full: Desk, query: Query, uids: list[int]) -> None:
    assert items.search(full.tx, full.folder().id, query) == uids


def test_a_content_is_indexed_once_and_forgotten_when_swept(desk: Desk) -> None:
    desk.put(letter("one"))
    entries = contents.unindexed(desk.tx, 10)
    contents.index(desk.tx, entries)
    contents.index(desk.tx, entries)
    assert contents.unindexed(desk.tx, 10) == []
    inbox = desk.folder().id
    assert items.search(desk.tx, inbox, Text("one")) == [1]
    items.set_flags(desk.tx, desk.mailbox, inbox, [(1, 1)], "add", Flag.DELETED)
    items.expunge(desk.tx, desk.mailbox, inbox)
    contents.sweep(desk.tx, unused_for=-1)
    assert desk.put(letter("one")).uid == 2
    assert items.search(desk.tx, inbox, Text("one")) == [2]


def test_what_is_only_under_way_is_indexed_once_it_lies_in_a_mailbox(desk: Desk) -> None:
    content = contents.keep(desk.tx, contents.written(desk.tx, letter("one")))
    assert contents.unindexed(desk.tx, 10) == []
    desk.put(letter("one"))
    desk.put(letter("one"))
    entries = contents.unindexed(desk.tx, 10)
    assert [entry.content for entry in entries] == [content]
    assert items.search(desk.tx, desk.folder().id, Text("one")) == [1, 2]
    contents.index(desk.tx, entries)
    desk.put(letter("one"))
    assert contents.unindexed(desk.tx, 10) == []
    assert items.search(desk.tx, desk.folder().id, Text("one")) == [1, 2, 3]


def test_what_nobody_ever_had_is_swept(desk: Desk) -> None:
    contents.keep(desk.tx, contents.written(desk.tx, letter("one")))
    desk.put(letter("two"))
    contents.index(desk.tx, contents.unindexed(desk.tx, 10))
    assert contents.sweep(desk.tx, unused_for=-1)[1] == 1
    assert items.search(desk.tx, desk.folder().id, Text("two")) == [1]


def test_a_letter_of_too_many_words_is_still_found(desk: Desk) -> None:
    desk.put(letter("many", " ".join(f"word{n}" for n in range(25_000)) + " zzlast " + "y" * 300))
    contents.index(desk.tx, contents.unindexed(desk.tx, 10))
    inbox = desk.folder().id
    for text in ("zzlast", "word24999", "y" * 200):
        assert items.search(desk.tx, inbox, Body(text)) == [1]
    assert items.search(desk.tx, inbox, Body("word25000")) == []


def test_a_set_may_be_long(desk: Desk) -> None:
    for _ in range(3):
        desk.put(letter())
    inbox = desk.folder().id
    singles = tuple((uid, uid) for uid in range(1, 40_000, 2))
    assert items.search(desk.tx, inbox, Uids(singles)) == [1, 3]
    assert items.search(desk.tx, inbox, Not(Uids(((2, 9), *singles)))) == []


def test_a_content_that_cannot_be_read_does_not_stop_the_index(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put(letter("unreadable"))
    desk.put(letter("readable"))
    whole = contents.message.texts

    def texts(raw: bytes) -> object:
        if b"unreadable" in raw:
            raise ValueError
        return whole(raw)

    monkeypatch.setattr(contents.message, "texts", texts)
    contents.index(desk.tx, contents.unindexed(desk.tx, 10))
    assert contents.unindexed(desk.tx, 10) == []
    assert items.search(desk.tx, desk.folder().id, Text("readable")) == [2]
