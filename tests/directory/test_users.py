"""Users: made, changed, removed."""

import pytest

from postroom.directory import entities, groups, registration, users
from postroom.model import errors
from postroom.model.entities import Kind, Role, State
from postroom.storage import migrations
from postroom.storage.engine import Tx
from postroom.storage.queries import credentials, mailboxes, profiles
from postroom.storage.queries import entities as rows


def test_a_new_user_is_disabled_and_has_neither_address_nor_mailbox(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="Alice Example")
    found = entities.get(tx, user.id)
    assert found == user
    assert (found.kind, found.state, found.email, found.role) == (Kind.USER, State.DISABLED, None, "USER")
    assert (found.enabled_at, found.disabled_at, found.provisioned_at) == (None, None, None)
    assert found.created_at == tx.now
    assert mailboxes.find_by_owner(tx, user.id) is None


@pytest.mark.parametrize("taken", ["alice", "ALICE", "Alice"])
@pytest.mark.parametrize("kind", ["user", "group", "resource"])
def test_a_name_is_unique_over_all_kinds_ignoring_case(tx: Tx, taken: str, kind: str) -> None:
    from postroom.directory import resources

    make = {
        "user": lambda name: users.create(tx, name=name, display_name=""),
        "group": lambda name: groups.create(tx, name=name),
        "resource": lambda name: resources.create(tx, name=name, type="ROOM"),
    }
    make[kind]("alice")
    for other in make.values():
        with pytest.raises(errors.NameTaken):
            other(taken)


@pytest.mark.parametrize("name", ["Administrator", "guest", "AmazonJournaling"])
def test_some_names_are_reserved(tx: Tx, name: str) -> None:
    with pytest.raises(errors.NameReserved):
        users.create(tx, name=name, display_name="")


@pytest.mark.parametrize("role", ["SYSTEM_USER", "RESOURCE"])
def test_some_roles_cannot_be_given(tx: Tx, role: str) -> None:
    with pytest.raises(errors.InvalidParameter):
        users.create(tx, name="alice", display_name="", role=role)
    users.create(tx, name="alice", display_name="")
    with pytest.raises(errors.InvalidParameter):
        users.update(tx, "alice", role=role)


def test_update_changes_only_what_is_given(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="Alice", hidden=True, profile={"first_name": "Alice", "city": "Bern"})
    users.update(tx, user.id, profile={"city": "Basel", "office": "12"})
    users.update(tx, user.id, display_name="Alice A.")
    found = entities.get(tx, user.id)
    assert (found.name, found.display_name, found.hidden) == ("alice", "Alice A.", True)
    kept = profiles.find(tx, user.id)
    assert kept is not None
    assert {name: text for name, text in kept.items() if text} == {"first_name": "Alice", "city": "Basel", "office": "12"}
    users.update(tx, user.id, hidden=False, profile={"city": ""})
    assert entities.get(tx, user.id).hidden is False
    assert (profiles.find(tx, user.id) or {})["city"] == ""


def test_the_identity_of_another_system_is_set_and_cleared(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="", identity_user="0123")
    assert entities.get(tx, user.id).identity_user == "0123"
    users.update(tx, user.id, display_name="still")
    assert entities.get(tx, user.id).identity_user == "0123"
    users.update(tx, user.id, identity_user="")
    assert entities.get(tx, user.id).identity_user is None


def test_a_registered_user_keeps_the_role(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="")
    users.update(tx, user.id, role=Role.REMOTE_USER)
    users.update(tx, user.id, role=Role.USER)
    registration.register(tx, user.id, "alice@example.test")
    users.update(tx, user.id, role=Role.USER)
    with pytest.raises(errors.EntityState):
        users.update(tx, user.id, role=Role.REMOTE_USER)


def test_a_password_is_kept_as_its_hash_and_replaced(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="", password_hash="one")
    assert credentials.find(tx, user.id) == "one"
    users.reset_password(tx, user.id, "two")
    assert credentials.find(tx, user.id) == "two"
    with pytest.raises(errors.EntityNotFound):
        users.reset_password(tx, "nobody", "two")


def test_only_a_disabled_user_is_deleted_and_takes_all_references_along(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="", password_hash="x", profile={"city": "Bern"})
    group = groups.create(tx, name="staff")
    groups.add_member(tx, group.id, user.id)
    registration.register(tx, user.id, "alice@example.test")
    with pytest.raises(errors.EntityState):
        users.delete(tx, user.id)
    registration.deregister(tx, user.id)
    users.delete(tx, "ALICE")
    assert entities.find(tx, user.id) is None
    assert credentials.find(tx, user.id) is None
    assert profiles.find(tx, user.id) is None
    assert groups.expand(tx, group.id) == []
    users.create(tx, name="alice", display_name="")


def test_deleting_a_missing_user_succeeds_and_another_kind_is_refused(tx: Tx) -> None:
    users.delete(tx, "nobody")
    group = groups.create(tx, name="staff")
    with pytest.raises(errors.InvalidParameter):
        users.delete(tx, group.id)
    assert entities.find(tx, group.id) is not None


def test_the_number_of_users_is_kept(tx: Tx) -> None:
    gone, _ = users.create(tx, name="anna", display_name=""), users.create(tx, name="bert", display_name="")
    groups.create(tx, name="staff")
    assert rows.count_users(tx) == 2
    users.delete(tx, gone.id)
    users.delete(tx, gone.id)
    groups.delete(tx, "staff")
    assert rows.count_users(tx) == 1


def test_the_number_of_users_that_were_there_before_it_was_kept(tx: Tx) -> None:
    for name in ("anna", "bert"):
        users.create(tx, name=name, display_name="")
    tx.run("DELETE FROM counters WHERE organization = :organization AND name = 'users'")
    tx.run(dict(migrations.scripts(tx.engine, "organization"))["organization/0014_counts.sql"])
    assert rows.count_users(tx) == 2
