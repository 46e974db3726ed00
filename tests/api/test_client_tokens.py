"""Client tokens: the same request twice does one thing, and both times answers the same."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from postroom.api import client_tokens
from postroom.api.client_tokens import Repeated
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from tests.api.conftest import Gate

PARAMS = {"Alias": "a", "ClientToken": "t"}


def token(params: dict[str, Any] = PARAMS, operation: str = "CreateOrganization", account: str = "1") -> client_tokens.Token:
    made = client_tokens.of(account, operation, params)
    assert made is not None
    return made


class TestStore:
    def test_an_answer_is_given_again(self, store: Store, organization: Organization) -> None:
        answer = {"OrganizationId": "m-1", "Time": 1.5}
        with store.transaction(organization.number) as tx:
            client_tokens.recall(tx, token())
            client_tokens.remember(tx, token(), answer)
        with store.transaction(organization.number, write=False) as tx, pytest.raises(Repeated) as caught:
            client_tokens.recall(tx, token())
        assert caught.value.answer == answer

    def test_other_input_is_refused(self, store: Store, organization: Organization) -> None:
        with store.transaction(organization.number) as tx:
            client_tokens.remember(tx, token(), {})
            with pytest.raises(errors.InvalidParameter):
                client_tokens.recall(tx, token(PARAMS | {"Alias": "b"}))

    def test_who_was_slower_is_given_the_answer_of_who_was_faster(self, store: Store, organization: Organization) -> None:
        with store.transaction(organization.number) as tx:
            client_tokens.remember(tx, token(), {"OrganizationId": "m-1"})
        with store.transaction(organization.number) as tx, pytest.raises(Repeated) as caught:
            client_tokens.remember(tx, token(), {"OrganizationId": "m-2"})
        assert caught.value.answer == {"OrganizationId": "m-1"}

    def test_tokens_of_others_do_not_meet(self, store: Store, organization: Organization) -> None:
        with store.transaction(organization.number) as tx:
            client_tokens.remember(tx, token(), {})
            client_tokens.recall(tx, token(account="2"))
            client_tokens.recall(tx, token(operation="RegisterMailDomain"))
            client_tokens.recall(tx, token(PARAMS | {"ClientToken": "u"}))

    def test_they_are_kept_a_day(self, store: Store, organization: Organization, clock: Any) -> None:
        with store.transaction(organization.number) as tx:
            client_tokens.remember(tx, token(), {})
        clock.advance(client_tokens.KEPT_SECONDS - 60)
        with store.transaction(organization.number) as tx, pytest.raises(Repeated):
            client_tokens.recall(tx, token())
        clock.advance(120)
        with store.transaction(organization.number) as tx:
            client_tokens.remember(tx, token(PARAMS | {"Alias": "b"}), {})
            assert tx.one("SELECT count(*) FROM client_tokens WHERE organization = :organization") == (1,)

    def test_without_a_token_there_is_nothing_to_keep(self) -> None:
        assert client_tokens.of("1", "CreateOrganization", {"Alias": "a"}) is None


class TestOperations:
    def test_in_an_organization(self, workmail: Any, organization_id: str) -> None:
        request = {"OrganizationId": organization_id, "DomainName": "example.test", "ClientToken": "t"}
        workmail.register_mail_domain(**request)
        workmail.register_mail_domain(**request)
        with pytest.raises(ClientError, match=r"\(InvalidParameterException\)"):
            workmail.register_mail_domain(**request | {"DomainName": "other.test"})
        names = [domain["DomainName"] for domain in workmail.list_mail_domains(OrganizationId=organization_id)["MailDomains"]]
        assert names == ["example.postroom.test", "example.test"]

    def test_a_refused_token_claims_nothing(self, gate: Gate, workmail: Any, organization_id: str) -> None:
        request = {"OrganizationId": organization_id, "DomainName": "example.test", "ClientToken": "t"}
        workmail.register_mail_domain(**request)
        with pytest.raises(ClientError):
            workmail.register_mail_domain(**request | {"DomainName": "free.test"})
        other = gate.organization_of("other")
        workmail.register_mail_domain(OrganizationId=other, DomainName="free.test")

    def test_a_repeated_answer_does_not_undo_what_came_after(self, workmail: Any, organization_id: str) -> None:
        request = {"OrganizationId": organization_id, "DomainName": "example.test", "ClientToken": "t"}
        workmail.register_mail_domain(**request)
        workmail.deregister_mail_domain(OrganizationId=organization_id, DomainName="example.test")
        workmail.register_mail_domain(**request)
        names = [domain["DomainName"] for domain in workmail.list_mail_domains(OrganizationId=organization_id)["MailDomains"]]
        assert names == ["example.postroom.test"]

    def test_many_at_once_make_one_organization(self, gate: Gate) -> None:
        answers: list[dict[str, Any]] = []
        params = {"Alias": "example", "ClientToken": "t"}
        threads = [threading.Thread(target=lambda: answers.append(gate.call("CreateOrganization", params).json)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(gate.workmail.list_organizations()["OrganizationSummaries"]) == 1
        assert len({answer.get("OrganizationId") for answer in answers}) == 1

    def test_a_deletion_repeated_is_answered_the_same(self, workmail: Any, organization_id: str) -> None:
        request = {"OrganizationId": organization_id, "DeleteDirectory": True, "ClientToken": "t"}
        first, again = workmail.delete_organization(**request), workmail.delete_organization(**request)
        assert (first["OrganizationId"], first["State"]) == (again["OrganizationId"], again["State"])
