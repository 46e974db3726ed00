"""Lists: paged by keys, filtered by one prefix, on both engines alike."""

from collections.abc import Callable

import pytest

from postroom.directory import groups, registration, resources, users
from postroom.model.entities import Kind
from postroom.storage.engine import Tx
from postroom.storage.queries import entities
from postroom.storage.queries.entities import Prefix

NAMES = ["anna", "Bea", "bert", "Ben-1", "ben.2", "b_3", "b", "Bz", "carl", "zoe", "älva", "bée"]


def walk(page: Callable[[tuple[object, ...] | None], list[tuple[object, ...]]], limit: int) -> list[str]:
    """Follow the pages of a list to its end; gives names."""
    after: tuple[object, ...] | None = None
    seen: list[str] = []
    while rows := page(after):
        assert len(rows) <= limit
        seen += [str(row[3]) for row in rows]
        after = rows[-1][:2]
    return seen


@pytest.fixture
def crowd(tx: Tx) -> None:
    for number, name in enumerate(NAMES):
        user = users.create(tx, name=name, display_name=f"Display {name}", identity_user=f"id-{number % 3}")
        if number % 2:
            registration.register(tx, user.id, f"mail{number:02}@example.test")
    for name in ("bgroup", "group2"):
        groups.create(tx, name=name)
    resources.create(tx, name="broom", type="ROOM", description="Closet")
    resources.create(tx, name="car", type="EQUIPMENT")


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.usefixtures("crowd")
class TestUsers:
    def listed(self, tx: Tx, limit: int, where: Prefix | None) -> list[str]:
        return walk(lambda after: entities.page(tx, Kind.USER, where=where, after=after, limit=limit), limit)

    def test_all_come_once_whatever_the_page_size(self, tx: Tx, limit: int) -> None:
        assert sorted(self.listed(tx, limit, None)) == sorted(NAMES)

    def test_by_prefix_of_name_in_order_of_name(self, tx: Tx, limit: int) -> None:
        assert self.listed(tx, limit, Prefix("name_key", "b")) == ["b", "b_3", "Bea", "Ben-1", "ben.2", "bert", "Bz", "bée"]
        assert self.listed(tx, limit, Prefix("name_key", "ben")) == ["Ben-1", "ben.2"]
        assert self.listed(tx, limit, Prefix("name_key", "ä")) == ["älva"]
        assert self.listed(tx, limit, Prefix("name_key", "nobody")) == []
        assert len(self.listed(tx, limit, Prefix("name_key", ""))) == len(NAMES)

    def test_by_prefix_of_display_name(self, tx: Tx, limit: int) -> None:
        assert self.listed(tx, limit, Prefix("display_key", "display ben")) == ["Ben-1", "ben.2"]

    def test_by_prefix_of_primary_address(self, tx: Tx, limit: int) -> None:
        assert self.listed(tx, limit, Prefix("email_key", "mail0")) == [NAMES[number] for number in (1, 3, 5, 7, 9)]

    def test_by_state(self, tx: Tx, limit: int) -> None:
        assert sorted(self.listed(tx, limit, Prefix("state", "ENABLED"))) == sorted(NAMES[1::2])
        assert sorted(self.listed(tx, limit, Prefix("state", "DISABLED"))) == sorted(NAMES[::2])
        assert self.listed(tx, limit, Prefix("state", "DELETED")) == []

    def test_by_prefix_of_the_other_systems_id(self, tx: Tx, limit: int) -> None:
        assert sorted(self.listed(tx, limit, Prefix("identity_user", "id-1"))) == sorted(NAMES[1::3])


@pytest.mark.usefixtures("crowd")
def test_groups_and_resources_are_lists_of_their_own(tx: Tx) -> None:
    listed = entities.page(tx, Kind.GROUP, where=None, after=None, limit=10)
    assert sorted(str(row[3]) for row in listed) == ["bgroup", "group2"]
    shown = entities.page_of_resources(tx, where=Prefix("name_key", "b"), after=None, limit=10)
    assert [(row[3], row[10], row[11]) for row in shown] == [("broom", "ROOM", "Closet")]


@pytest.mark.usefixtures("crowd")
def test_rows_that_come_and_go_do_not_shift_a_page(tx: Tx) -> None:
    where = Prefix("name_key", "b")
    first = entities.page(tx, Kind.USER, where=where, after=None, limit=3)
    assert [row[3] for row in first] == ["b", "b_3", "Bea"]
    users.create(tx, name="baa", display_name="")
    users.delete(tx, "b")
    second = entities.page(tx, Kind.USER, where=where, after=first[-1][:2], limit=2)
    assert [row[3] for row in second] == ["Ben-1", "ben.2"]


def test_a_filter_without_an_index_is_a_mistake(tx: Tx) -> None:
    with pytest.raises(ValueError, match="hidden"):
        entities.page(tx, Kind.USER, where=Prefix("hidden", "1"), after=None, limit=1)
