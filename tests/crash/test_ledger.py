"""The ledger finds what it is for: a lost, doubled, damaged, stray or half-delivered letter, and a UID that comes back."""

from __future__ import annotations

import pytest

from tests.crash import letters
from tests.crash.ledger import Ledger, Numbers
from tests.crash.writers import difference


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    for name, answers in {"kept": [True], "cut": [None], "refused": [False], "cut-then-kept": [None, True]}.items():
        for accepted in answers:
            ledger.offer(name, ["a", "b"])
            if accepted is not None:
                ledger.settle(name, accepted=accepted)
    return ledger


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("kept", [1, 2])
def test_promises_that_hold(ledger, cut, kept):
    letters = ["kept"] + ["cut"] * cut + ["cut-then-kept"] * kept
    assert ledger.broken({"a": letters, "b": letters}) == []


@pytest.mark.parametrize(
    ("mailbox", "complaint"),
    [
        (["cut-then-kept"], "a: 0 of kept, expected 1 to 1"),
        (["kept", "kept", "cut-then-kept"], "a: 2 of kept, expected 1 to 1"),
        (["kept", "cut-then-kept", "refused"], "a: 1 of refused, expected 0 to 0"),
        (["kept"], "a: 0 of cut-then-kept, expected 1 to 2"),
        (["kept", "cut-then-kept", None], "a: 1 damaged"),
        (["kept", "cut-then-kept", "unheard-of"], "a: unheard-of was never sent there"),
        (["kept", "cut-then-kept", "cut"], "cut came to some only: {'a': 1, 'b': 0}"),
    ],
)
def test_promises_that_do_not(ledger, mailbox, complaint):
    complaints = ledger.broken({"a": mailbox, "b": ["kept", "cut-then-kept"]})
    assert complaint in complaints


def test_numbers():
    numbers = Numbers()
    assert numbers.broken(7, 4, {1: "one", 3: "three"}) == []
    assert numbers.broken(7, 6, {3: "three", 5: "five"}) == []
    assert numbers.broken(8, 6, {}) == ["UIDVALIDITY was 7 and is 8"]
    assert numbers.broken(8, 5, {}) == ["UIDNEXT was 6 and is 5"]
    assert numbers.broken(8, 6, {5: "other"}) == ["UID 5 was five and is other"]
    assert numbers.broken(8, 6, {4: "four"}) == ["UID 4 came up below UIDNEXT 6"]
    assert numbers.broken(8, 6, {6: "six"}) == ["UID 6 is not below UIDNEXT 6"]


def test_a_letter_proves_itself():
    raw = letters.letter("some-name", 3000)
    assert letters.read(b"Received: from somewhere\r\n" + raw) == "some-name"
    assert letters.read(raw[:-1]) is None
    assert letters.read(raw.replace(b"a", b"b", 5)) is None
    assert letters.read(b"Subject: not ours\r\n\r\n") is None


def test_differences_between_two_states():
    flags = frozenset({"\\Seen"})
    before = {"Work": {1: ("one", flags), -1: ("coming", frozenset())}, "Done": {}}
    assert difference({"Work": {1: ("one", flags), 2: ("coming", frozenset())}, "Done": {}}, before) == ""
    assert difference({"Work": {1: ("one", flags)}, "Done": {}}, before)
    assert difference({"Work": {2: ("coming", frozenset())}, "Done": {}}, before)
    assert difference({"Work": {1: ("one", frozenset()), 2: ("coming", frozenset())}, "Done": {}}, before)
    assert difference({"Work": {1: ("one", flags), 2: ("coming", frozenset())}, "Done": {4: ("one", flags)}}, before)
