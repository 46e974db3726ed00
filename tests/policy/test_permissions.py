"""What a user may do with another's mailbox and name."""

from collections.abc import Iterator

import pytest

from postroom.directory import groups, registration, resources, users
from postroom.policy import permissions
from postroom.policy.permissions import Grant, Permission, decide
from postroom.storage.engine import Store, Tx
from tests.people import People, add_group, populate

FULL, AS, BEHALF = Permission.FULL_ACCESS, Permission.SEND_AS, Permission.SEND_ON_BEHALF


@pytest.mark.parametrize(
    ("grants", "held"),
    [
        ([], set()),
        ([Grant("alice", frozenset({FULL, BEHALF}))], {FULL, BEHALF}),
        ([Grant("staff", frozenset({FULL, AS}))], {AS}),
        ([Grant("staff", frozenset({AS})), Grant("alice", frozenset({BEHALF}))], {AS, BEHALF}),
    ],
)
def test_grants_add_up_and_no_group_opens_a_mailbox(grants: list[Grant], held: set[Permission]) -> None:
    assert decide(grants, "alice") == held


@pytest.fixture
def people(store: Store, organization: object) -> People:
    return populate(store, organization)  # type: ignore[arg-type]


@pytest.fixture
def tx(store: Store, people: People) -> Iterator[Tx]:
    with store.transaction(1) as opened:
        yield opened


def test_a_group_reaches_who_is_in_it_and_in_the_groups_within(tx: Tx, people: People) -> None:
    ids = people.ids
    outer = add_group(tx, "outer", "example.test", ids["everybody"])
    permissions.put(tx, "empty", outer, {AS})
    for name in ("alice", "bob", "carol"):  # alice by three steps, and two of the groups are in each other
        assert permissions.held(tx, ids[name], ids["empty"]) == {AS}
    groups.remove_member(tx, outer, ids["everybody"])
    assert permissions.held(tx, ids["alice"], ids["empty"]) == set()


def test_nothing_is_held_while_somebody_between_is_not_registered(tx: Tx, people: People) -> None:
    ids = people.ids
    room = resources.create(tx, name="room", type="ROOM").id
    registration.register(tx, room, "room@example.test")
    permissions.put(tx, room, ids["everybody"], {BEHALF})
    permissions.put(tx, room, ids["alice"], {FULL})
    assert permissions.held(tx, ids["alice"], room) == {FULL, BEHALF}
    assert permissions.opens(tx, ids["alice"], room)
    assert not permissions.opens(tx, ids["carol"], room)
    assert permissions.shared_with(tx, ids["alice"]) == [(room, "room@example.test")]
    registration.deregister(tx, ids["staff"])
    assert permissions.held(tx, ids["alice"], room) == {FULL}
    assert permissions.held(tx, ids["carol"], room) == {BEHALF}
    registration.deregister(tx, ids["alice"])
    assert permissions.held(tx, ids["alice"], room) == set()
    assert not permissions.opens(tx, ids["alice"], room)
    assert permissions.shared_with(tx, ids["alice"]) == []
    registration.register(tx, ids["alice"], "alice@example.test")
    assert permissions.held(tx, ids["alice"], room) == {FULL}
    registration.deregister(tx, room)
    assert permissions.shared_with(tx, ids["alice"]) == []


def test_a_mailbox_that_has_moved_to_another_system_is_not_among_those_to_open(tx: Tx, people: People) -> None:
    permissions.put(tx, "bob", "alice", {FULL})
    registration.deregister(tx, "bob")
    users.update(tx, "bob", role="REMOTE_USER")
    registration.register(tx, "bob", "bob@example.test")
    assert permissions.shared_with(tx, people.ids["alice"]) == []


def test_a_permission_is_for_one_direction(tx: Tx, people: People) -> None:
    permissions.put(tx, "alice", "bob", {FULL, AS})
    assert permissions.held(tx, people.ids["alice"], people.ids["bob"]) == set()
    assert permissions.shared_with(tx, people.ids["alice"]) == []


def test_who_has_the_mailbox_open_is_asked_again(tx: Tx, people: People) -> None:
    permissions.put(tx, "alice", "bob", {FULL})
    assert len(tx.changes.folders) == 1
    tx.changes.folders.clear()
    permissions.delete(tx, "alice", "carol")
    assert not tx.changes.folders
