"""Groups, their members, and who gets their mail."""

import pytest

from postroom.directory import entities, groups, registration, resources, users
from postroom.model import errors
from postroom.model.entities import Entity, Role
from postroom.storage.engine import Tx
from postroom.storage.queries import members


def a_user(tx: Tx, name: str, *, role: str = Role.USER, enabled: bool = True) -> Entity:
    user = users.create(tx, name=name, display_name="", role=role)
    if enabled:
        registration.register(tx, user.id, f"{name}@example.test")
    return user


def a_group(tx: Tx, name: str, *inside: Entity, enabled: bool = True) -> Entity:
    group = groups.create(tx, name=name)
    for entity in inside:
        groups.add_member(tx, group.id, entity.id)
    if enabled:
        registration.register(tx, group.id, f"{name}@example.test")
    return group


def expanded(tx: Tx, group: Entity) -> list[str]:
    return sorted(entity.name for entity in groups.expand(tx, group.id))


def test_members_come_and_go_quietly(tx: Tx) -> None:
    alice = a_user(tx, "alice")
    group = a_group(tx, "staff")
    for _ in range(2):
        groups.add_member(tx, "staff", "alice@example.test")
    assert [row[0] for row in members.page(tx, group.id, after="", limit=10)] == [alice.id]
    for _ in range(2):
        groups.remove_member(tx, "staff@example.test", "ALICE")
    assert members.page(tx, group.id, after="", limit=10) == []


def test_strangers_resources_and_the_group_itself_are_no_members(tx: Tx) -> None:
    group = a_group(tx, "staff")
    room = resources.create(tx, name="room", type="ROOM")
    with pytest.raises(errors.EntityNotFound):
        groups.add_member(tx, group.id, "nobody")
    with pytest.raises(errors.EntityNotFound):
        groups.add_member(tx, room.id, group.id)
    with pytest.raises(errors.EntityNotFound):
        groups.remove_member(tx, group.id, "nobody")
    with pytest.raises(errors.InvalidParameter):
        groups.add_member(tx, group.id, room.id)
    with pytest.raises(errors.InvalidParameter):
        groups.add_member(tx, group.id, "staff")


def test_expand_gives_each_mailbox_once_through_nested_groups_and_loops(tx: Tx) -> None:
    alice, bob, carol = (a_user(tx, name) for name in ("alice", "bob", "carol"))
    inner = a_group(tx, "inner", alice, bob)
    middle = a_group(tx, "middle", inner, alice, carol)
    outer = a_group(tx, "outer", middle, inner, bob)
    groups.add_member(tx, inner.id, outer.id)
    assert expanded(tx, outer) == ["alice", "bob", "carol"]
    assert expanded(tx, inner) == ["alice", "bob", "carol"]


def test_expand_leaves_out_what_takes_no_part_in_mail(tx: Tx) -> None:
    alice = a_user(tx, "alice")
    asleep = a_group(tx, "asleep", a_user(tx, "behind"), enabled=False)
    group = a_group(tx, "staff", alice, a_user(tx, "off", enabled=False), a_user(tx, "remote", role=Role.REMOTE_USER), asleep)
    assert expanded(tx, group) == ["alice"]
    assert groups.expand(tx, a_group(tx, "empty").id) == []


def test_a_deep_chain_of_groups_is_followed_to_its_end(tx: Tx) -> None:
    group = a_group(tx, "g0", a_user(tx, "alice"))
    for depth in range(1, 60):
        group = a_group(tx, f"g{depth}", group)
    assert expanded(tx, group) == ["alice"]


def test_hidden_is_all_that_changes_of_a_group(tx: Tx) -> None:
    group = groups.create(tx, name="Staff of all kinds")
    groups.update(tx, group.id, hidden=True)
    groups.update(tx, group.id)
    found = entities.get(tx, group.id)
    assert (found.hidden, found.name) == (True, "Staff of all kinds")


def test_only_a_disabled_group_is_deleted(tx: Tx) -> None:
    alice = a_user(tx, "alice")
    group = a_group(tx, "staff", alice)
    with pytest.raises(errors.EntityState):
        groups.delete(tx, group.id)
    registration.deregister(tx, group.id)
    groups.delete(tx, "staff")
    groups.delete(tx, "staff")
    assert entities.find(tx, group.id) is None
    assert members.page_of_groups(tx, alice.id, prefix="", after=None, limit=10) == []


def test_groups_of_an_entity_are_listed_by_name_and_prefix(tx: Tx) -> None:
    alice = a_user(tx, "alice")
    for name in ("Beta", "alpha", "Bravo", "gamma"):
        groups.add_member(tx, groups.create(tx, name=name).id, alice.id)
    named = [row[2] for row in members.page_of_groups(tx, alice.id, prefix="", after=None, limit=10)]
    assert named == ["alpha", "Beta", "Bravo", "gamma"]
    first = members.page_of_groups(tx, alice.id, prefix="b", after=None, limit=1)
    assert [row[2] for row in first] == ["Beta"]
    assert [row[2] for row in members.page_of_groups(tx, alice.id, prefix="b", after=first[0][:2], limit=9)] == ["Bravo"]
