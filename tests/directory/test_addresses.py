"""Aliases, primary addresses, and whose mail this is."""

import pytest

from postroom.directory import addresses, entities, groups, registration, users
from postroom.model import errors
from postroom.storage.engine import Tx


@pytest.fixture
def alice(tx: Tx) -> str:
    user = users.create(tx, name="alice", display_name="")
    registration.register(tx, user.id, "alice@example.test")
    return user.id


def test_aliases_come_and_go_quietly(tx: Tx, alice: str) -> None:
    addresses.add_alias(tx, alice, "Ally@example.test")
    addresses.add_alias(tx, alice, "ally@example.test")
    addresses.add_alias(tx, alice, "alice@example.test")
    assert addresses.owned(tx, alice) == ["alice@example.test", "Ally@example.test"]
    addresses.remove_alias(tx, alice, "ALLY@example.test")
    addresses.remove_alias(tx, alice, "ally@example.test")
    assert addresses.owned(tx, alice) == ["alice@example.test"]


def test_the_primary_address_is_not_removed_as_an_alias(tx: Tx, alice: str) -> None:
    with pytest.raises(errors.InvalidParameter):
        addresses.remove_alias(tx, alice, "Alice@example.test")


def test_an_alias_of_somebody_else_is_not_removed(tx: Tx, alice: str) -> None:
    group = groups.create(tx, name="staff")
    registration.register(tx, group.id, "staff@example.test")
    addresses.remove_alias(tx, alice, "staff@example.test")
    found = addresses.resolve(tx, "staff@example.test")
    assert found is not None
    assert found.id == group.id


def test_a_disabled_entity_gets_no_alias(tx: Tx) -> None:
    user = users.create(tx, name="bob", display_name="")
    with pytest.raises(errors.EntityState):
        addresses.add_alias(tx, user.id, "bob@example.test")
    with pytest.raises(errors.EntityState):
        addresses.set_primary(tx, user.id, "bob@example.test")


def test_aliases_are_in_domains_with_mail_and_free(tx: Tx, alice: str) -> None:
    bob = users.create(tx, name="bob", display_name="")
    registration.register(tx, bob.id, "bob@example.test")
    with pytest.raises(errors.AddressInUse):
        addresses.add_alias(tx, alice, "BOB@example.test")
    with pytest.raises(errors.DomainNotFound):
        addresses.add_alias(tx, alice, "alice@elsewhere.test")
    with pytest.raises(errors.AddressInUse):
        addresses.set_primary(tx, alice, "bob@example.test")


def test_a_hundred_aliases_are_the_limit(tx: Tx, alice: str) -> None:
    for number in range(100):
        addresses.add_alias(tx, alice, f"a{number}@example.test")
    with pytest.raises(errors.LimitExceeded):
        addresses.add_alias(tx, alice, "a100@example.test")
    addresses.add_alias(tx, alice, "a7@example.test")
    with pytest.raises(errors.InvalidParameter):
        addresses.set_primary(tx, alice, "new@example.test")
    addresses.set_primary(tx, alice, "a7@example.test")
    assert len(addresses.owned(tx, alice)) == 101


def test_a_new_primary_address_makes_an_alias_of_the_old(tx: Tx, alice: str) -> None:
    addresses.set_primary(tx, alice, "Alice.New@example.test")
    assert entities.get(tx, alice).email == "Alice.New@example.test"
    assert addresses.owned(tx, alice) == ["Alice.New@example.test", "alice@example.test"]


def test_the_primary_address_swaps_with_an_alias(tx: Tx, alice: str) -> None:
    addresses.add_alias(tx, alice, "ally@example.test")
    addresses.set_primary(tx, alice, "ally@example.test")
    assert addresses.owned(tx, alice) == ["ally@example.test", "alice@example.test"]
    addresses.set_primary(tx, alice, "Alice@example.test")
    assert addresses.owned(tx, alice) == ["Alice@example.test", "ally@example.test"]


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("alice@example.test", "alice"),
        ("ALICE@EXAMPLE.TEST", "alice"),
        ("alice+shop@example.test", "alice"),
        ("alice+shop+more@example.test", "alice"),
        ("alice+taken@example.test", "bob"),
        ("Alice+Taken@example.test", "bob"),
        ("+alice@example.test", None),
        ("alice@elsewhere.test", None),
        ("alice", None),
        ("", None),
        ("a@b@c", None),
        ("carol@example.test", None),
    ],
)
def test_mail_is_for_the_exact_address_else_for_what_stands_before_the_plus(tx: Tx, alice: str, text: str, owner: str | None) -> None:
    bob = users.create(tx, name="bob", display_name="")
    registration.register(tx, bob.id, "alice+taken@example.test")
    users.create(tx, name="carol", display_name="")
    found = addresses.resolve(tx, text)
    assert (found.name if found else None) == owner
