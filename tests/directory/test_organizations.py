"""Organizations below the API: their keys, claims and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from postroom.directory import domains, organizations
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage.engine import REGISTRY, Store, Tx


def test_a_new_one_is_ready_to_use(store: Store) -> None:
    made = organizations.create(store, alias="acme", mail_domains=["Acme.test"], trusted=True)
    assert (made.state, made.default_domain) == ("Active", "acme.postroom.test")
    assert made.completed_at == store.now()
    assert store.scopes() == [made.number]
    with store.transaction(REGISTRY, write=False) as tx:
        assert domains.route(tx, "acme.test") == domains.route(tx, "acme.postroom.test") == made.number
    with store.transaction(made.number, write=False) as tx:
        assert domains.require_verified(tx, "acme.test").test is False


def test_a_domain_that_is_not_trusted_takes_no_mail_yet(store: Store) -> None:
    made = organizations.create(store, alias="acme", mail_domains=["acme.test"])
    with store.transaction(REGISTRY, write=False) as tx:
        assert domains.route(tx, "acme.test") is None
    with store.transaction(made.number, write=False) as tx, pytest.raises(errors.DomainState):
        domains.require_verified(tx, "acme.test")


def test_a_refused_one_leaves_nothing(store: Store) -> None:
    organizations.create(store, alias="acme", mail_domains=["acme.test"])
    with pytest.raises(errors.NameTaken):
        organizations.create(store, alias="Acme")
    with pytest.raises(errors.DomainInUse):
        organizations.create(store, alias="other", mail_domains=["free.test", "acme.test"])
    made = organizations.create(store, alias="other", mail_domains=["free.test"])
    assert made.number == 2


def test_the_suffix_of_test_domains_can_be_chosen(store: Store) -> None:
    assert organizations.create(store, alias="acme", test_suffix="lab.test").default_domain == "acme.lab.test"


def test_nothing_of_a_deleted_one_can_be_opened(store: Store, tmp_path: Path) -> None:
    made = organizations.create(store, alias="acme")
    deleted = organizations.delete(store, made, force=False)
    assert (deleted.state, deleted.deleted_at) == ("Deleted", store.now())
    assert store.scopes() == []
    with pytest.raises(errors.OrganizationNotFound), store.transaction(made.number):
        pass
    assert list(tmp_path.rglob(f"{made.number}.db*")) == []
    again = organizations.create(store, alias="acme")
    assert (again.number, again.state) == (made.number + 1, "Active")


def test_the_decision_and_what_goes_with_it_are_one(store: Store) -> None:
    def refuse(tx: object, planned: object) -> None:
        raise errors.LimitExceeded

    with pytest.raises(errors.LimitExceeded):
        organizations.create(store, alias="acme", decided=refuse)
    made = organizations.create(store, alias="acme")
    with pytest.raises(errors.LimitExceeded):
        organizations.delete(store, made, force=True, decided=refuse)
    with store.transaction(REGISTRY, write=False) as tx:
        assert organizations.get(tx, made.id).state == "Active"
        assert organizations.find_by_number(tx, made.number) == made
    with store.transaction(made.number, write=False):
        pass


def test_a_half_made_one_is_completed_once(store: Store) -> None:
    made = organizations.create(store, alias="acme")
    with store.transaction(REGISTRY) as tx:
        tx.run("UPDATE organizations SET state = 'Creating', completed_at = NULL WHERE number = :number", number=made.number)
    with pytest.raises(errors.OrganizationState):
        organizations.delete(store, made, force=True)
    organizations.recover(store)
    organizations.recover(store)
    with store.transaction(REGISTRY, write=False) as tx:
        assert organizations.get(tx, made.id) == made


def test_one_that_cannot_be_finished_keeps_nobody_else_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, whole, leaving = (organizations.create(store, alias=alias) for alias in ("broken", "whole", "leaving"))
    furnish = organizations._furnish

    def furnish_or_fail(tx: Tx, organization: Organization, claims: Sequence[tuple[str, bool]]) -> None:
        if organization.id == broken.id:
            raise OSError("file is not a database")
        furnish(tx, organization, claims)

    monkeypatch.setattr(organizations, "_furnish", furnish_or_fail)
    with store.transaction(REGISTRY) as tx:
        tx.run("UPDATE organizations SET state = 'Creating' WHERE number < :number", number=leaving.number)
        tx.run("UPDATE organizations SET state = 'Deleting' WHERE number = :number", number=leaving.number)
    organizations.recover(store)
    with store.transaction(REGISTRY, write=False) as tx:
        assert [organizations.get(tx, one.id).state for one in (broken, whole, leaving)] == ["Creating", "Active", "Deleted"]
