"""Sequence numbers of one session."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.protocols.imap.grammar.scanner import Malformed
from postroom.protocols.imap.grammar.sets import STAR, SequenceSet
from postroom.protocols.imap.view import Remembered, View


@pytest.mark.parametrize(
    ("numbers", "uid", "slices"),
    [
        (((1, 1),), False, [(0, 1)]),
        (((1, STAR),), False, [(0, 4)]),
        (((STAR, STAR),), False, [(3, 4)]),
        (((9, STAR),), False, [(3, 4)]),
        (((3, 2),), False, [(1, 3)]),
        (((3, 9),), False, [(2, 4)]),
        (((3, 4), (1, 1), (2, 2)), False, [(0, 4)]),
        (((1, 4), (2, 3)), False, [(0, 4)]),
        (((1, 1), (4, 4)), False, [(0, 1), (3, 4)]),
        (((10, 10),), True, [(0, 1)]),
        (((11, 29),), True, [(1, 2)]),
        (((11, 12),), True, []),
        (((99, STAR),), True, [(3, 4)]),
        (((1, 4294967295),), True, [(0, 4)]),
        (((20, 20), (10, 10)), True, [(0, 2)]),
    ],
)
def test_sets_name_runs_of_messages(numbers: SequenceSet, uid: bool, slices: list[tuple[int, int]]) -> None:
    assert View([10, 20, 30, 40]).resolve(numbers, uid) == slices


def test_a_number_that_is_not_there_is_refused() -> None:
    with pytest.raises(Malformed):
        View([10]).resolve(((2, 3),), uid=False)
    with pytest.raises(Malformed):
        View().resolve(((1, 1),), uid=False)


def test_everything_in_an_empty_folder_is_nothing() -> None:
    assert View().resolve(((1, STAR),), uid=False) == []
    assert View().resolve(((1, STAR),), uid=True) == []


def test_ranges_of_runs() -> None:
    assert View([10, 20, 30, 40]).ranges([(0, 1), (2, 4)]) == [(10, 10), (30, 40)]


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 70)))
def test_expunges_count_as_they_go(uids: set[int], gone: set[int]) -> None:
    view, model = View(sorted(uids)), sorted(uids)
    for number in view.remove(gone):
        del model[number - 1]
    assert list(view.uids) == model == sorted(uids - gone)


@given(st.sets(st.integers(1, 200)), st.sets(st.integers(1, 200)))
def test_numbers_of_uids(uids: set[int], some: set[int]) -> None:
    view = View(sorted(uids))
    known = view.known(sorted(some))
    assert known == sorted(uids & some)
    assert list(view.numbers(known)) == [sorted(uids).index(uid) + 1 for uid in known]


def test_what_is_remembered_has_a_size() -> None:
    remembered = Remembered(40)
    for folder in range(4):
        remembered.keep(1, folder, 7, array("I", range(4)))
    remembered.keep(1, 3, 8, array("I", range(5)))
    assert [remembered.find(1, folder, 7) is not None for folder in range(4)] == [False, False, True, False]
    assert remembered.find(1, 3, 8) == array("I", range(5))
