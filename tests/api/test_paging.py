"""Page tokens: opaque, bound to what they were made for, steady while rows come and go."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.api import paging
from postroom.api.operation import FIRST_PAGE, Page
from postroom.api.paging import Mark
from postroom.model import errors

SECRET = b"s" * 32
KEYS = st.lists(st.text(max_size=60) | st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1, max_size=3).map(tuple)
PARAMS = st.dictionaries(st.sampled_from(["OrganizationId", "Filters", "EntityId"]), st.text(max_size=9), max_size=3)


@given(KEYS, PARAMS, st.integers(1, 100))
def test_a_token_leads_behind_its_mark(key: tuple[Any, ...], params: dict[str, Any], limit: int) -> None:
    token = paging.seal(SECRET, "ListUsers m-1", params, Mark(key))
    assert len(token) <= paging.LONGEST_TOKEN
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    page = paging.request(SECRET, "ListUsers m-1", params | {"NextToken": token, "MaxResults": limit})
    assert page == Page(key, limit)


@given(KEYS, st.text(max_size=60))
def test_any_other_token_is_refused(key: tuple[Any, ...], other: str) -> None:
    token = paging.seal(SECRET, "a", {}, Mark(key))
    for wrong in (other, token[:-1], token + "A", token[1:], token.swapcase()):
        if wrong != token:
            with pytest.raises(errors.InvalidParameter):
                paging.request(SECRET, "a", {"NextToken": wrong})


@pytest.mark.parametrize(
    ("secret", "context", "params"),
    [
        (b"t" * 32, "ListUsers m-1", {"x": 1}),
        (SECRET, "ListUsers m-2", {"x": 1}),
        (SECRET, "ListGroups m-1", {"x": 1}),
        (SECRET, "ListUsers m-1", {"x": 2}),
    ],
)
def test_a_token_belongs_to_its_list(secret: bytes, context: str, params: dict[str, Any]) -> None:
    token = paging.seal(SECRET, "ListUsers m-1", {"x": 1}, Mark(("a",)))
    with pytest.raises(errors.InvalidParameter):
        paging.request(secret, context, params | {"NextToken": token})


def test_the_first_page_has_a_hundred() -> None:
    assert paging.request(SECRET, "a", {}) == FIRST_PAGE == Page(None, 100)


def test_a_key_too_long_for_a_token_is_a_bug() -> None:
    with pytest.raises(ValueError, match="too long"):
        paging.seal(SECRET, "a", {}, Mark(("x" * 1000,)))


@pytest.mark.parametrize(("rows", "more"), [(0, False), (2, False), (3, True)])
def test_a_token_is_given_only_when_more_follows(rows: int, more: bool) -> None:
    shown = paging.answer(Page(None, 2), "Rows", range(rows), key=lambda row: (row,), render=lambda row: row)
    assert ("NextToken" in shown, len(shown["Rows"])) == (more, min(rows, 2))


@given(st.lists(st.integers(0, 1000), unique=True, max_size=40), st.integers(1, 10), st.lists(st.integers(0, 1000), max_size=10))
def test_pages_show_every_row_once_while_others_come(rows: list[int], limit: int, late: list[int]) -> None:
    table, seen = sorted(rows), []
    page = Page(None, limit)
    while True:
        behind = [row for row in table if page.after is None or row > page.after[0]]
        shown = paging.answer(page, "Rows", behind[: page.fetch], key=lambda row: (row,), render=lambda row: row)
        seen += shown["Rows"]
        if "NextToken" not in shown:
            break
        assert len(shown["Rows"]) == limit
        page = Page(shown["NextToken"].key, limit)
        if late:
            table = sorted({*table, late.pop()})
    assert len(seen) == len(set(seen))
    assert set(rows) <= set(seen)
