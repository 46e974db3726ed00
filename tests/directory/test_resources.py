"""Resources, how they answer, and who answers for them."""

import pytest

from postroom.directory import entities, groups, registration, resources, users
from postroom.model import errors
from postroom.model.entities import Booking
from postroom.storage.engine import Tx
from postroom.storage.queries import delegates


def test_a_new_resource_answers_by_itself(tx: Tx) -> None:
    made = resources.create(tx, name="room", type="ROOM", description="By the window", hidden=True)
    entity, resource = resources.describe(tx, "Room")
    assert made.id == entity.id
    assert entity.id.startswith("r-")
    assert entity.hidden
    assert (resource.type, resource.description) == ("ROOM", "By the window")
    assert resource.booking == Booking(auto_accept=True, decline_recurring=False, decline_conflicts=True)


def test_update_changes_only_what_is_given(tx: Tx) -> None:
    resources.create(tx, name="room", type="ROOM", description="By the window")
    resources.update(tx, "room", decline_recurring=True)
    resources.update(tx, "room", name="Beamer", type="EQUIPMENT")
    entity, resource = resources.describe(tx, "beamer")
    assert (entity.name, resource.type, resource.description) == ("Beamer", "EQUIPMENT", "By the window")
    assert resource.booking == Booking(decline_recurring=True)
    resources.update(tx, "beamer", description="", hidden=True)
    entity, resource = resources.describe(tx, "beamer")
    assert (resource.description, entity.hidden) == (None, True)


def test_a_new_name_is_unique_but_may_change_its_case(tx: Tx) -> None:
    resources.create(tx, name="room", type="ROOM")
    users.create(tx, name="alice", display_name="")
    with pytest.raises(errors.NameTaken):
        resources.update(tx, "room", name="Alice")
    resources.update(tx, "room", name="ROOM")
    assert entities.get(tx, "room").name == "ROOM"


def test_somebody_must_answer(tx: Tx) -> None:
    resources.create(tx, name="room", type="ROOM")
    alice = users.create(tx, name="alice", display_name="")
    groups.create(tx, name="staff")
    with pytest.raises(errors.InvalidConfiguration):
        resources.update(tx, "room", auto_accept=False)
    resources.add_delegate(tx, "room", "alice")
    resources.add_delegate(tx, "room", "alice")
    resources.add_delegate(tx, "room", "staff")
    resources.update(tx, "room", auto_accept=False)
    resources.remove_delegate(tx, "room", "staff")
    resources.remove_delegate(tx, "room", "staff")
    with pytest.raises(errors.EntityState):
        resources.remove_delegate(tx, "room", alice.id)


def test_the_last_delegate_goes_once_the_resource_answers_by_itself(tx: Tx) -> None:
    room = resources.create(tx, name="room", type="ROOM")
    users.create(tx, name="alice", display_name="")
    resources.add_delegate(tx, "room", "alice")
    resources.remove_delegate(tx, "room", "alice")
    assert delegates.page(tx, room.id, after="", limit=10) == []


def test_only_users_and_groups_answer(tx: Tx) -> None:
    resources.create(tx, name="room", type="ROOM")
    resources.create(tx, name="other", type="ROOM")
    with pytest.raises(errors.InvalidParameter):
        resources.add_delegate(tx, "room", "other")
    with pytest.raises(errors.EntityNotFound):
        resources.add_delegate(tx, "room", "nobody")
    with pytest.raises(errors.EntityNotFound):
        resources.add_delegate(tx, "nowhere", "other")
    with pytest.raises(errors.EntityNotFound):
        resources.remove_delegate(tx, "room", "nobody")


def test_only_a_disabled_resource_is_deleted(tx: Tx) -> None:
    room = resources.create(tx, name="room", type="ROOM")
    registration.register(tx, "room", "room@example.test")
    with pytest.raises(errors.EntityState):
        resources.delete(tx, "room")
    registration.deregister(tx, "room")
    resources.delete(tx, room.id)
    resources.delete(tx, room.id)
    with pytest.raises(errors.EntityNotFound):
        resources.describe(tx, room.id)
