"""References: id, name or address, in any case."""

import pytest

from postroom.directory import addresses, entities, groups, registration, users
from postroom.model import errors
from postroom.model.entities import Kind
from postroom.storage.engine import Tx


@pytest.fixture
def alice(tx: Tx) -> str:
    user = users.create(tx, name="alice", display_name="Alice")
    registration.register(tx, user.id, "Alice.Example@example.test")
    addresses.add_alias(tx, user.id, "ally@example.postroom.test")
    return user.id


@pytest.mark.parametrize(
    "reference", ["alice", "ALICE", "alice.example@example.test", "Alice.Example@EXAMPLE.test", "ally@example.postroom.test"]
)
def test_name_and_addresses_refer_to_the_same_user_as_the_id(tx: Tx, alice: str, reference: str) -> None:
    assert entities.get(tx, reference).id == entities.get(tx, alice).id == alice


@pytest.mark.parametrize(
    "reference", ["bob", "bob@example.test", "ally+tag@example.postroom.test", "@", "a@b@c", "00000000-0000-0000-0000-000000000000"]
)
def test_what_is_not_there_is_not_found(tx: Tx, alice: str, reference: str) -> None:
    assert entities.find(tx, reference) is None
    with pytest.raises(errors.EntityNotFound):
        entities.get(tx, reference)


def test_another_kind_is_not_found(tx: Tx, alice: str) -> None:
    with pytest.raises(errors.EntityNotFound, match="group"):
        entities.get(tx, alice, groups.KINDS)


def test_a_name_may_look_like_an_address_and_wins(tx: Tx, alice: str) -> None:
    other = users.create(tx, name="ally@example.postroom.test", display_name="")
    assert entities.get(tx, "ally@example.postroom.test").id == other.id


def test_an_address_says_whose_it_is(tx: Tx, alice: str) -> None:
    assert entities.get_by_address(tx, "ALLY@example.postroom.test").id == alice
    assert entities.get_by_address(tx, "alice.example@example.test").kind is Kind.USER
    with pytest.raises(errors.EntityNotFound):
        entities.get_by_address(tx, "nobody@example.test")
    with pytest.raises(errors.EntityNotFound):
        entities.get_by_address(tx, "alice")


def test_folding_goes_beyond_ascii(tx: Tx) -> None:
    group = groups.create(tx, name="Größe")
    assert entities.get(tx, "GRÖSSE").id == group.id
    with pytest.raises(errors.NameTaken):
        groups.create(tx, name="GRÖSSE")


def test_a_name_of_another_kind_does_not_hide_an_address(tx: Tx) -> None:
    user = users.create(tx, name="info@example.test", display_name="")
    group = groups.create(tx, name="info")
    registration.register(tx, group.id, "info@example.test")
    assert entities.get(tx, "info@example.test", groups.KINDS).id == group.id
    assert entities.get(tx, "info@example.test").id == user.id
