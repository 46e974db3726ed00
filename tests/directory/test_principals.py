"""Users of the API and their access keys: made, found, put out of use."""

from __future__ import annotations

import re

import pytest

from postroom.directory import principals
from postroom.model import errors
from postroom.model.principals import KeyStatus, User
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import principals as rows


@pytest.fixture
def ann(store: Store) -> User:
    with store.transaction(REGISTRY) as tx:
        return principals.create_user(tx, name="Ann", path="/team/")


def test_a_new_key_looks_like_one_of_aws(store: Store, ann: User) -> None:
    assert re.fullmatch("AIDA[A-Z2-7]{16}", ann.id)
    with store.transaction(REGISTRY) as tx:
        key = principals.create_key(tx, ann)
    assert re.fullmatch("AKIA[A-Z2-7]{16}", key.id)
    assert re.fullmatch("[A-Za-z0-9+/]{40}", key.secret)
    assert (key.name, key.status, key.created_at, key.last_used_at) == ("Ann", "Active", store.now(), None)
    assert key.secret not in repr(key)
    with store.transaction(REGISTRY, write=False) as tx:
        assert principals.find(tx, key.id) == key


def test_a_user_has_two_keys_at_most(store: Store, ann: User) -> None:
    with store.transaction(REGISTRY) as tx:
        keys = {principals.create_key(tx, ann).id for _ in range(2)}
        assert {key.id for key in principals.page(tx)} == keys
        with pytest.raises(errors.LimitExceeded):
            principals.create_key(tx, ann)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a/b"])
def test_a_name_must_fit_into_an_arn(store: Store, name: str) -> None:
    with store.transaction(REGISTRY) as tx, pytest.raises(errors.InvalidParameter):
        principals.create_user(tx, name=name)


def test_a_name_is_taken_in_any_case_and_found_in_its_own(store: Store, ann: User) -> None:
    with store.transaction(REGISTRY) as tx:
        with pytest.raises(errors.NameTaken):
            principals.create_user(tx, name="ANN")
        assert principals.get_user(tx, "Ann") == ann
        with pytest.raises(errors.EntityNotFound):
            principals.get_user(tx, "ann")


def test_status_use_and_deletion(store: Store, ann: User) -> None:
    with store.transaction(REGISTRY) as tx:
        key = principals.create_key(tx, ann)
        principals.set_status(tx, key.id, KeyStatus.INACTIVE)
        principals.note_use(tx, key.id, 5.0, "sts")
        found = principals.get(tx, key.id)
        assert (found.status, found.last_used_at, found.last_used_service) == ("Inactive", 5.0, "sts")
        principals.delete(tx, key.id)
        assert principals.find(tx, key.id) is None


def test_what_is_not_there_cannot_be_changed(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        with pytest.raises(errors.EntityNotFound):
            principals.set_status(tx, "AKIA", KeyStatus.ACTIVE)
        with pytest.raises(errors.EntityNotFound):
            principals.delete(tx, "AKIA")


def test_nor_can_the_key_of_another_user(store: Store, ann: User) -> None:
    with store.transaction(REGISTRY) as tx:
        key, bob = principals.create_key(tx, ann), principals.create_user(tx, name="bob")
        with pytest.raises(errors.EntityNotFound):
            principals.set_status(tx, key.id, KeyStatus.INACTIVE, bob)
        with pytest.raises(errors.EntityNotFound):
            principals.delete(tx, key.id, bob)
        assert principals.get(tx, key.id, ann).status == "Active"


def test_a_user_goes_after_keys_and_policies(store: Store, ann: User) -> None:
    with store.transaction(REGISTRY) as tx:
        key = principals.create_key(tx, ann)
        with pytest.raises(errors.DeleteConflict):
            principals.delete_user(tx, "Ann")
        principals.delete(tx, key.id)
        rows.put_policy(tx, ann.id, "p", "{}")
        with pytest.raises(errors.DeleteConflict):
            principals.delete_user(tx, "Ann")
        rows.delete_policy(tx, ann.id, "p")
        principals.delete_user(tx, "Ann")
        assert principals.find_user(tx, "Ann") is None


def test_a_secret_of_the_api_is_made_once(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        first, other = rows.secret(tx, "pages"), rows.secret(tx, "others")
    with store.transaction(REGISTRY) as tx:
        assert rows.secret(tx, "pages") == first != other
    assert len(first) == 32
