"""Sizes and quotas."""

import pytest

from postroom.directory import groups, mailboxes, registration, users
from postroom.model import errors
from postroom.storage.engine import Tx


def test_a_quota_is_set_within_its_bounds(tx: Tx) -> None:
    users.create(tx, name="alice", display_name="")
    registration.register(tx, "alice", "alice@example.test")
    assert mailboxes.describe(tx, "alice@example.test") == (51200, 0)
    for quota in (1, 51200, 12):
        mailboxes.set_quota(tx, "alice", quota)
        assert mailboxes.describe(tx, "alice") == (quota, 0)
    for quota in (0, 51201):
        with pytest.raises(errors.InvalidParameter):
            mailboxes.set_quota(tx, "alice", quota)


def test_who_has_no_mailbox_has_no_quota(tx: Tx) -> None:
    users.create(tx, name="alice", display_name="")
    groups.create(tx, name="staff")
    for reference in ("alice", "staff", "nobody"):
        with pytest.raises(errors.EntityNotFound):
            mailboxes.describe(tx, reference)
    with pytest.raises(errors.EntityState):
        mailboxes.set_quota(tx, "alice", 10)
    with pytest.raises(errors.EntityNotFound):
        mailboxes.set_quota(tx, "staff", 10)
