"""CreateOrganization, DescribeOrganization, ListOrganizations, DeleteOrganization, with boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from postroom.directory import organizations
from postroom.storage.engine import REGISTRY
from postroom.storage.queries import client_tokens
from postroom.storage.queries import organizations as rows
from tests.api.conftest import ACCOUNT, REGION, Gate, RunningClock


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


class TestCreate:
    def test_a_new_organization_is_described_in_full(self, gate: Gate, workmail: Any) -> None:
        made = workmail.create_organization(Alias="Example-1")
        assert set(made) == {"OrganizationId", "ResponseMetadata"}
        shown = workmail.describe_organization(OrganizationId=made["OrganizationId"])
        assert shown["Alias"] == "Example-1"
        assert shown["State"] == "Active"
        assert shown["DefaultMailDomain"] == "example-1.postroom.test"
        assert shown["DirectoryType"] == "VpcDirectory"
        assert shown["DirectoryId"].startswith("d-")
        assert shown["ARN"] == f"arn:aws:workmail:{REGION}:{ACCOUNT}:organization/{made['OrganizationId']}"
        assert abs(shown["CompletedDate"].timestamp() - gate.store.now()) < 60
        assert shown["InteroperabilityEnabled"] is False
        assert "ErrorMessage" not in shown

    def test_it_starts_with_its_test_domain_verified(self, workmail: Any, organization_id: str) -> None:
        domains = workmail.list_mail_domains(OrganizationId=organization_id)["MailDomains"]
        assert domains == [{"DomainName": "example.postroom.test", "DefaultDomain": True}]
        domain = workmail.get_mail_domain(OrganizationId=organization_id, DomainName="example.postroom.test")
        assert domain["OwnershipVerificationStatus"] == "VERIFIED"
        assert domain["IsTestDomain"] is True

    def test_an_alias_is_unique_in_any_case(self, workmail: Any, organization_id: str) -> None:
        with refused("NameAvailabilityException"):
            workmail.create_organization(Alias="EXAMPLE")

    def test_the_alias_is_free_again_after_deletion(self, workmail: Any, organization_id: str) -> None:
        workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=True)
        again = workmail.create_organization(Alias="example")["OrganizationId"]
        assert again != organization_id
        assert workmail.describe_organization(OrganizationId=again)["State"] == "Active"
        assert workmail.list_users(OrganizationId=again)["Users"] == []

    def test_mail_domains_come_with_it(self, workmail: Any) -> None:
        made = workmail.create_organization(Alias="example", Domains=[{"DomainName": "Example.test"}])["OrganizationId"]
        names = {domain["DomainName"] for domain in workmail.list_mail_domains(OrganizationId=made)["MailDomains"]}
        assert names == {"example.test", "example.postroom.test"}

    def test_a_mail_domain_of_another_organization_is_refused_whole(self, workmail: Any) -> None:
        workmail.create_organization(Alias="first", Domains=[{"DomainName": "example.test"}])
        with refused("InvalidParameterException"):
            workmail.create_organization(Alias="second", Domains=[{"DomainName": "example.test"}])
        aliases = [shown["Alias"] for shown in workmail.list_organizations()["OrganizationSummaries"]]
        assert aliases == ["first"]

    def test_a_test_domain_of_another_cannot_come_with_it(self, workmail: Any) -> None:
        for name in ("postroom.test", "Victim.postroom.test", "a.example.postroom.test"):
            with refused("InvalidParameterException"):
                workmail.create_organization(Alias="example", Domains=[{"DomainName": name}])
        workmail.create_organization(Alias="example", Domains=[{"DomainName": "example.postroom.test"}])
        workmail.create_organization(Alias="victim")

    def test_an_outside_directory_is_not_available(self, workmail: Any) -> None:
        with refused("DirectoryUnavailableException"):
            workmail.create_organization(Alias="example", DirectoryId="d-0123456789")

    def test_interoperability_is_refused(self, workmail: Any) -> None:
        with refused("InvalidParameterException"):
            workmail.create_organization(Alias="example", EnableInteroperability=True)

    @pytest.mark.parametrize("alias", ["d-example", "", "a_b", "-a", "a-", "a--b", "x" * 63, "ä"])
    def test_a_bad_alias_is_refused(self, workmail: Any, alias: str) -> None:
        with refused("ValidationException"):
            workmail.create_organization(Alias=alias)

    def test_the_token_makes_it_once(self, workmail: Any) -> None:
        first = workmail.create_organization(Alias="example", ClientToken="t1")
        again = workmail.create_organization(Alias="example", ClientToken="t1")
        assert first["OrganizationId"] == again["OrganizationId"]
        assert len(workmail.list_organizations()["OrganizationSummaries"]) == 1

    def test_the_token_belongs_to_its_input(self, workmail: Any) -> None:
        workmail.create_organization(Alias="example", ClientToken="t1")
        with refused("InvalidParameterException"):
            workmail.create_organization(Alias="another", ClientToken="t1")

    def test_a_failed_request_leaves_its_token_free(self, workmail: Any, organization_id: str) -> None:
        with refused("NameAvailabilityException"):
            workmail.create_organization(Alias="example", ClientToken="t1")
        workmail.create_organization(Alias="another", ClientToken="t1")

    def test_the_token_is_forgotten_after_a_day(self, gate: Gate, workmail: Any, clock: RunningClock) -> None:
        workmail.create_organization(Alias="example", ClientToken="t1")
        with gate.store.transaction(REGISTRY) as tx:
            assert client_tokens.find(tx, ACCOUNT, "CreateOrganization", "t1") is not None
        clock.advance(24 * 3600 + 1)
        with gate.store.transaction(REGISTRY) as tx:
            assert client_tokens.find(tx, ACCOUNT, "CreateOrganization", "t1") is None


class TestList:
    def test_pages_hold_while_organizations_come(self, workmail: Any) -> None:
        made = [workmail.create_organization(Alias=f"org{number}")["OrganizationId"] for number in range(5)]
        first = workmail.list_organizations(MaxResults=2)
        workmail.create_organization(Alias="late")
        second = workmail.list_organizations(MaxResults=2, NextToken=first["NextToken"])
        third = workmail.list_organizations(MaxResults=2, NextToken=second["NextToken"])
        seen = [shown["OrganizationId"] for page in (first, second, third) for shown in page["OrganizationSummaries"]]
        assert seen[:5] == made
        assert len(seen) == 6
        assert "NextToken" not in third

    def test_a_token_from_elsewhere_is_refused(self, workmail: Any, organization_id: str) -> None:
        workmail.create_organization(Alias="org2")
        token = workmail.list_organizations(MaxResults=1)["NextToken"]
        for bad in (token[:-2], token[::-1], "x", "é"):
            with refused("InvalidParameterException"):
                workmail.list_organizations(NextToken=bad)
        with refused("InvalidParameterException"):
            workmail.list_users(OrganizationId=organization_id, NextToken=token)

    def test_every_summary_has_its_default_domain(self, workmail: Any, organization_id: str) -> None:
        assert workmail.list_organizations()["OrganizationSummaries"] == [
            {"OrganizationId": organization_id, "Alias": "example", "DefaultMailDomain": "example.postroom.test", "State": "Active"}
        ]


class TestDelete:
    def test_it_stays_described_and_listed_as_deleted(self, workmail: Any, organization_id: str) -> None:
        answer = workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=True)
        assert answer["OrganizationId"] == organization_id
        assert answer["State"] == "Deleted"
        assert workmail.describe_organization(OrganizationId=organization_id)["State"] == "Deleted"
        assert [shown["State"] for shown in workmail.list_organizations()["OrganizationSummaries"]] == ["Deleted"]

    def test_everything_else_is_refused_for_its_state(self, workmail: Any, organization_id: str) -> None:
        workmail.list_users(OrganizationId=organization_id)
        workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=True)
        with refused("OrganizationStateException"):
            workmail.list_users(OrganizationId=organization_id)
        with refused("OrganizationStateException"):
            workmail.create_user(OrganizationId=organization_id, Name="a", DisplayName="a")

    def test_one_that_another_process_deleted_is_refused_likewise(self, gate: Gate, workmail: Any, organization_id: str) -> None:
        arn = workmail.describe_organization(OrganizationId=organization_id)["ARN"]
        for call, code in (
            (lambda made: workmail.list_users(OrganizationId=made.id), "OrganizationStateException"),
            (lambda made: workmail.create_user(OrganizationId=made.id, Name="a", DisplayName="a"), "OrganizationStateException"),
            (lambda made: workmail.list_tags_for_resource(ResourceARN=arn.replace(organization_id, made.id)), "ResourceNotFoundException"),
        ):
            created = workmail.create_organization(Alias="short-lived")["OrganizationId"]
            with gate.store.transaction(REGISTRY, write=False) as tx:
                made = rows.get(tx, created)
            workmail.list_users(OrganizationId=made.id)
            organizations.delete(gate.store, made, force=True)
            with refused(code):
                call(made)

    def test_deleting_again_changes_nothing(self, workmail: Any, organization_id: str) -> None:
        workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=True)
        assert workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=True)["State"] == "Deleted"

    def test_the_directory_flag_is_required(self, workmail: Any, organization_id: str) -> None:
        with refused("ValidationException"):
            workmail.delete_organization(OrganizationId=organization_id)

    def test_enabled_users_hold_it_unless_forced(self, workmail: Any, organization_id: str) -> None:
        user = workmail.create_user(OrganizationId=organization_id, Name="bob", DisplayName="Bob")["UserId"]
        workmail.register_to_work_mail(OrganizationId=organization_id, EntityId=user, Email="bob@example.postroom.test")
        with refused("OrganizationStateException"):
            workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=True)
        assert workmail.describe_organization(OrganizationId=organization_id)["State"] == "Active"
        workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=True, ForceDelete=True)
        assert workmail.describe_organization(OrganizationId=organization_id)["State"] == "Deleted"

    def test_disabled_users_do_not(self, workmail: Any, organization_id: str) -> None:
        workmail.create_user(OrganizationId=organization_id, Name="bob", DisplayName="Bob")
        workmail.delete_organization(OrganizationId=organization_id, DeleteDirectory=False)

    def test_its_key_and_claims_are_gone(self, gate: Gate, workmail: Any) -> None:
        made = workmail.create_organization(Alias="example", Domains=[{"DomainName": "example.test"}])["OrganizationId"]
        with gate.store.transaction(REGISTRY) as tx:
            number = rows.get(tx, made).number
        workmail.delete_organization(OrganizationId=made, DeleteDirectory=True)
        with gate.store.transaction(REGISTRY) as tx:
            assert rows.claims(tx, number) == []
            assert tx.one("SELECT wrapped_key FROM organizations WHERE number = :number", number=number) == (None,)
        workmail.create_organization(Alias="other", Domains=[{"DomainName": "example.test"}])

    def test_an_unknown_one_is_not_found(self, workmail: Any) -> None:
        for call in (workmail.describe_organization, lambda **given: workmail.delete_organization(DeleteDirectory=True, **given)):
            with refused("OrganizationNotFoundException"):
                call(OrganizationId=f"m-{'0' * 32}")


class TestRecover:
    def test_what_was_begun_is_finished(self, gate: Gate, workmail: Any, organization_id: str) -> None:
        with gate.store.transaction(REGISTRY) as tx:
            made = rows.get(tx, organization_id)
            rows.set_state(tx, made.number, "Creating")
        organizations.recover(gate.store)
        assert workmail.describe_organization(OrganizationId=organization_id)["State"] == "Active"
        with gate.store.transaction(REGISTRY) as tx:
            rows.set_state(tx, made.number, "Deleting")
            rows.shred_key(tx, made.number)
        organizations.recover(gate.store)
        assert workmail.describe_organization(OrganizationId=organization_id)["State"] == "Deleted"
