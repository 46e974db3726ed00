"""What a deleted organization had queued for the others: they get it, once."""

import pytest

from postroom.directory import organizations
from postroom.mailflow import estate, handover, inbound
from postroom.mailflow.envelopes import Envelope
from postroom.model import errors
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import organizations as organization_rows
from postroom.storage.queries import queue as rows
from tests.conftest import make_organization
from tests.mailflow.conftest import MakeCarrier
from tests.mailflow.letters import LIMITS, Raw, lease, letter, receive
from tests.people import People, add_user, inbox


@pytest.fixture
def dave(store: Store) -> str:
    """Somebody in a second organization."""
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        return add_user(tx, "dave", other.default_domain)


def queued(store: Store, scope: int) -> list[str]:
    with store.transaction(scope, write=False) as tx:
        return [row[2] for row in rows.page(tx, after=0, limit=10)]


async def test_letters_for_others_outlive_the_organization(store: Store, people: People, dave: str, make_carrier: MakeCarrier) -> None:
    receive(store, "alice@example.test", "dave@other.test", "erin@other.test", raw=letter("for all"))
    with store.transaction(1) as tx:
        lease(tx, "somebody who dies", 10)
    organizations.delete(store, people.organization, force=True, settled=estate.settle)
    assert queued(store, 2) == ["dave@other.test", "erin@other.test"]
    await make_carrier().sweep()
    assert [b"Subject: for all" in raw for raw in inbox(store, 2, dave)] == [True]


def test_once_however_often_it_is_begun(store: Store, people: People, dave: str) -> None:
    receive(store, "alice@example.test", "dave@other.test")
    with store.transaction(REGISTRY) as tx:
        organization_rows.set_state(tx, 1, "Deleting")
    estate.settle(store, 1)
    organizations.recover(store, estate.settle)
    organizations.recover(store, estate.settle)
    assert queued(store, 2) == ["dave@other.test"]
    with store.transaction(REGISTRY, write=False) as tx:
        assert organization_rows.get(tx, people.organization.id).state == "Deleted"


def test_what_has_been_handed_over_is_not_passed_on(store: Store, people: People, dave: str) -> None:
    receive(store, "alice@example.test", "dave@other.test")
    with store.transaction(1, write=False) as tx:
        ((number, *_),) = rows.page(tx, after=0, limit=10)
    envelope = Envelope("stranger@far.test", ("dave@other.test",))
    with store.transaction(2) as tx:
        handover.hand_over(tx, 1, (number,), envelope, inbound.prepare(store, 2, envelope, Raw(letter()), LIMITS))
    estate.settle(store, 1)
    assert queued(store, 2) == []


def test_nothing_is_queued_behind_its_back(store: Store, people: People, dave: str) -> None:
    estate.settle(store, 1)
    with pytest.raises(errors.TryLater):
        receive(store, "alice@example.test", "dave@other.test")


def test_a_letter_that_cannot_be_read_holds_nothing_up(store: Store, people: People, dave: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estate, "PAGE", 1)
    receive(store, "alice@example.test", "dave@other.test", raw=letter("damaged"))
    receive(store, "alice@example.test", "dave@other.test", raw=letter("sound"))
    receive(store, "alice@example.test", "x@far.test")
    with store.transaction(1) as tx:
        tx.run("UPDATE queue_messages SET content = 0 WHERE organization = :organization AND id = 1")
    organizations.delete(store, people.organization, force=True, settled=estate.settle)
    assert queued(store, 2) == ["dave@other.test"]
    organizations.recover(store, estate.settle)


def test_a_key_that_is_gone_already_leaves_nothing_to_pass_on(store: Store, people: People) -> None:
    with store.transaction(REGISTRY) as tx:
        organization_rows.set_state(tx, 1, "Deleting")
        organization_rows.shred_key(tx, 1)
    organizations.recover(store, estate.settle)
    with store.transaction(REGISTRY, write=False) as tx:
        assert organization_rows.get(tx, people.organization.id).state == "Deleted"
