"""Issuing keys: no malformed policy, and no more permission than the user had."""

from __future__ import annotations

import pytest

from postroom.directory import principals
from postroom.model import errors
from postroom.policy import iam
from postroom.policy.iam import access_keys, inline_policies
from postroom.storage.engine import REGISTRY, Store


def test_a_user_is_made_with_the_first_key(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        key = access_keys.issue(tx, name="ann", policy=iam.READ_ONLY)
        assert inline_policies.get(tx, key.user_id, access_keys.POLICY_NAME) == iam.READ_ONLY
        other = access_keys.issue(tx, name="bob")
        assert inline_policies.get(tx, other.user_id, access_keys.POLICY_NAME) == iam.ADMINISTRATOR


def test_one_with_a_malformed_policy_is_not_made(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        with pytest.raises(errors.InvalidParameter, match="malformed"):
            access_keys.issue(tx, name="ann", policy="{}")
        assert principals.find_user(tx, "ann") is None


def test_a_further_key_changes_nothing_of_what_a_user_may(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        first = access_keys.issue(tx, name="ann", policy=iam.READ_ONLY)
        with pytest.raises(errors.NameTaken):
            access_keys.issue(tx, name="ann", policy=iam.ADMINISTRATOR)
        assert access_keys.issue_another(tx, name="ann").user_id == first.user_id
        with pytest.raises(errors.LimitExceeded):
            access_keys.issue(tx, name="ann", policy=iam.READ_ONLY)
        with pytest.raises(errors.EntityNotFound):
            access_keys.issue_another(tx, name="bob")
