"""Issuing access keys with their policies."""

import pytest

from postroom.directory import principals
from postroom.model import errors
from postroom.policy import access_keys, iam
from postroom.storage.engine import REGISTRY, Store


def test_the_policy_goes_with_the_key(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        assert access_keys.issue(tx, name="ann", policy=iam.READ_ONLY).policy == iam.READ_ONLY
        assert access_keys.issue(tx, name="bob").policy == iam.ADMINISTRATOR


def test_a_malformed_policy_makes_no_key(store: Store) -> None:
    with store.transaction(REGISTRY) as tx:
        with pytest.raises(errors.InvalidParameter):
            access_keys.issue(tx, name="ann", policy="{}")
        assert principals.page(tx) == []
