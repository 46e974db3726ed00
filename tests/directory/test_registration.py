"""Registration gives an address and a mailbox, deregistration takes them away."""

import pytest

from postroom.directory import addresses, entities, groups, registration, resources, users
from postroom.model import errors
from postroom.model.entities import Role, State
from postroom.model.organizations import Organization
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import mailboxes
from tests.conftest import Clock


def test_register_enables_and_makes_a_mailbox(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="")
    registration.register(tx, "alice", "Alice@Example.test")
    found = entities.get(tx, user.id)
    assert (found.state, found.email) == (State.ENABLED, "Alice@Example.test")
    assert found.enabled_at == found.provisioned_at == tx.now
    mailbox = mailboxes.find_by_owner(tx, user.id)
    assert mailbox is not None
    assert mailbox[1:] == (51200, 0)


def test_the_same_address_again_changes_nothing_and_another_is_refused(tx: Tx) -> None:
    user = users.create(tx, name="alice", display_name="")
    registration.register(tx, user.id, "alice@example.test")
    before = entities.get(tx, user.id)
    registration.register(tx, user.id, "ALICE@example.test")
    assert entities.get(tx, user.id) == before
    with pytest.raises(errors.AlreadyRegistered):
        registration.register(tx, user.id, "other@example.test")


def test_a_group_gets_no_mailbox_nor_does_a_remote_user(tx: Tx) -> None:
    group = groups.create(tx, name="staff")
    remote = users.create(tx, name="remote", display_name="", role=Role.REMOTE_USER)
    room = resources.create(tx, name="room", type="ROOM")
    for entity in (group, remote, room):
        registration.register(tx, entity.id, f"{entity.name}@example.test")
    assert mailboxes.find_by_owner(tx, group.id) is None
    assert mailboxes.find_by_owner(tx, remote.id) is None
    assert mailboxes.find_by_owner(tx, room.id) is not None
    assert entities.get(tx, group.id).provisioned_at is None
    registration.deregister(tx, group.id)
    registration.deregister(tx, remote.id)
    assert entities.get(tx, remote.id).deprovisioned_at is None


def test_domains_must_be_there_and_verified(tx: Tx) -> None:
    from postroom.directory import domains

    user = users.create(tx, name="alice", display_name="")
    with pytest.raises(errors.DomainNotFound):
        registration.register(tx, user.id, "alice@elsewhere.test")
    domains.register(tx, "pending.test")
    with pytest.raises(errors.DomainState):
        registration.register(tx, user.id, "alice@pending.test")
    domains.set_verification(tx, "pending.test")
    registration.register(tx, user.id, "alice@pending.test")


def test_an_address_belongs_to_one(tx: Tx) -> None:
    alice, bob = (users.create(tx, name=name, display_name="") for name in ("alice", "bob"))
    registration.register(tx, alice.id, "alice@example.test")
    addresses.add_alias(tx, alice.id, "ally@example.test")
    for taken in ("ALICE@example.test", "ally@example.test"):
        with pytest.raises(errors.AddressInUse):
            registration.register(tx, bob.id, taken)
    assert entities.get(tx, bob.id).state is State.DISABLED


def test_deregister_frees_the_addresses_and_is_quiet_the_second_time(tx: Tx) -> None:
    alice, bob = (users.create(tx, name=name, display_name="") for name in ("alice", "bob"))
    registration.register(tx, alice.id, "alice@example.test")
    addresses.add_alias(tx, alice.id, "ally@example.test")
    registration.deregister(tx, "alice@example.test")
    registration.deregister(tx, alice.id)
    found = entities.get(tx, alice.id)
    assert (found.state, found.email) == (State.DISABLED, None)
    assert found.disabled_at == found.deprovisioned_at == tx.now
    assert addresses.owned(tx, alice.id) == []
    assert addresses.resolve(tx, "alice@example.test") is None
    registration.register(tx, bob.id, "alice@example.test")
    addresses.add_alias(tx, bob.id, "ally@example.test")


def test_nobody_is_not_found(tx: Tx) -> None:
    with pytest.raises(errors.EntityNotFound):
        registration.register(tx, "nobody", "nobody@example.test")
    with pytest.raises(errors.EntityNotFound):
        registration.deregister(tx, "nobody")


def test_the_same_entity_gets_its_mailbox_back_and_a_new_one_does_not(store: Store, organization: Organization, clock: Clock) -> None:
    with store.transaction(organization.number) as tx:
        alice = users.create(tx, name="alice", display_name="")
        registration.register(tx, alice.id, "alice@example.test")
        mailbox = mailboxes.find_by_owner(tx, alice.id)
        mailboxes.set_quota(tx, alice.id, 7)
        registration.deregister(tx, alice.id)
        assert mailboxes.find_by_owner(tx, alice.id) is None
    clock.advance(29 * 86400)
    with store.transaction(organization.number) as tx:
        registration.register(tx, alice.id, "other@example.test")
        again = mailboxes.find_by_owner(tx, alice.id)
        assert mailbox is not None
        assert again == (mailbox[0], 7, 0)
        registration.deregister(tx, alice.id)
        users.delete(tx, alice.id)
        new = users.create(tx, name="alice", display_name="")
        registration.register(tx, new.id, "alice@example.test")
        fresh = mailboxes.find_by_owner(tx, new.id)
        assert fresh is not None
        assert fresh[0] != mailbox[0]
        assert [owner for _, owner in mailboxes.page_parked(tx, before=tx.now + 1, limit=10)] == [alice.id]
