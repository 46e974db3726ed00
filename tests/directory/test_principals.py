"""Access keys: made, found, put out of use."""

from __future__ import annotations

import re

import pytest

from postroom.directory import principals
from postroom.directory.principals import KeyStatus
from postroom.model import errors
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import principals as rows


def test_a_new_key_looks_like_one_of_aws(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        key = principals.create(tx, name="ann", policy="{}")
    assert re.fullmatch("AKIA[A-Z2-7]{16}", key.id)
    assert re.fullmatch("[A-Za-z0-9+/]{40}", key.secret)
    assert (key.name, key.status, key.created_at, key.last_used_at) == ("ann", "Active", store.now(), None)
    assert key.secret not in repr(key)
    with store.transaction(REGISTRY, write=False) as tx:
        assert principals.find(tx, key.id) == key


def test_a_user_may_have_several(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        keys = {principals.create(tx, name="ann", policy="{}").id for _ in range(3)}
        assert {key.id for key in principals.page(tx)} == keys


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a/b"])
def test_a_name_must_fit_into_an_arn(store: Store, name: str) -> None:
    with store.transaction(REGISTRY) as tx, pytest.raises(errors.InvalidParameter):
        principals.create(tx, name=name, policy="{}")


def test_status_use_and_deletion(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        key = principals.create(tx, name="ann", policy="{}")
        principals.set_status(tx, key.id, KeyStatus.INACTIVE)
        principals.note_use(tx, key.id, 5.0)
        found = principals.find(tx, key.id)
        assert found is not None
        assert (found.status, found.last_used_at) == ("Inactive", 5.0)
        principals.delete(tx, key.id)
        assert principals.find(tx, key.id) is None


def test_what_is_not_there_cannot_be_changed(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        with pytest.raises(errors.ResourceNotFound):
            principals.set_status(tx, "AKIA", KeyStatus.ACTIVE)
        with pytest.raises(errors.ResourceNotFound):
            principals.delete(tx, "AKIA")


def test_a_secret_of_the_api_is_made_once(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        first, other = rows.secret(tx, "pages"), rows.secret(tx, "others")
    with store.transaction(REGISTRY) as tx:
        assert rows.secret(tx, "pages") == first != other
    assert len(first) == 32
