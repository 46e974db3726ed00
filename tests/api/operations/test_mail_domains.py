"""Mail domains by boto3."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from postroom.api.operation import Facilities, MailDomainPolicy
from postroom.api.settings import Settings
from postroom.directory import domains
from postroom.directory.domains import Targets
from postroom.model.organizations import Organization
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import organizations
from tests.conftest import make_organization

from .conftest import Api


def claim(store: Store, domain: str) -> tuple[int | None, int | None]:
    """Give who has claimed a domain, and where its mail goes."""
    with store.transaction(REGISTRY) as tx:
        return organizations.find_claim(tx, domain), domains.route(tx, domain)


def test_a_new_domain_is_pending_and_shows_its_records(connect: Callable[[Settings], Any], organization: Organization) -> None:
    targets = Targets("mx.host.example", "auto.host.example", "spf.host.example", "dkim.host.example")
    api = Api(connect(Settings(facilities=Facilities(mail_domains=MailDomainPolicy(targets=targets)))), organization)
    api("register_mail_domain", DomainName="New.example")
    api("register_mail_domain", DomainName="new.example")
    shown = api("get_mail_domain", DomainName="NEW.example")
    records = shown.pop("Records")
    assert shown == {
        "IsTestDomain": False,
        "IsDefault": False,
        "OwnershipVerificationStatus": "PENDING",
        "DkimVerificationStatus": "PENDING",
    }
    assert [record["Type"] for record in records] == ["TXT", "MX", "CNAME", "CNAME", "CNAME", "CNAME", "TXT", "TXT"]
    by_type: dict[str, dict[str, str]] = {}
    for record in records:
        by_type.setdefault(record["Type"], record)
    assert by_type["TXT"]["Hostname"] == "_amazonses.new.example"
    assert by_type["CNAME"] == {"Type": "CNAME", "Hostname": "autodiscover.new.example", "Value": "auto.host.example"}
    assert by_type["MX"]["Value"] == "10 mx.host.example"
    assert records[6]["Value"] == "v=spf1 include:spf.host.example ~all"


def test_lists_and_the_default(api: Api, store: Store) -> None:
    api("register_mail_domain", DomainName="new.example")
    assert api("list_mail_domains") == {
        "MailDomains": [
            {"DomainName": "example.postroom.test", "DefaultDomain": False},
            {"DomainName": "example.test", "DefaultDomain": True},
            {"DomainName": "new.example", "DefaultDomain": False},
        ]
    }
    first = api("list_mail_domains", MaxResults=2)
    assert [shown["DomainName"] for shown in first["MailDomains"]] == ["example.postroom.test", "example.test"]
    second = api("list_mail_domains", MaxResults=2, NextToken=first["NextToken"])
    assert [shown["DomainName"] for shown in second["MailDomains"]] == ["new.example"]
    assert "NextToken" not in second
    assert api.fails("update_default_mail_domain", DomainName="new.example") == "MailDomainStateException"
    assert api.fails("update_default_mail_domain", DomainName="other.example") == "MailDomainNotFoundException"
    with store.transaction(api.organization.number) as tx:
        domains.set_verification(tx, "new.example")
    for _ in range(2):
        api("update_default_mail_domain", DomainName="New.example")
    assert api("get_mail_domain", DomainName="new.example")["IsDefault"] is True
    assert api("get_mail_domain", DomainName="example.test")["IsDefault"] is False
    assert api("describe_organization")["DefaultMailDomain"] == "new.example"
    assert api.fails("get_mail_domain", DomainName="other.example") == "MailDomainNotFoundException"


def test_domains_go_when_nothing_uses_them(api: Api, store: Store) -> None:
    def fails(domain: str) -> str:
        return api.fails("deregister_mail_domain", DomainName=domain)

    api("register_mail_domain", DomainName="new.example")
    with store.transaction(api.organization.number) as tx:
        domains.set_verification(tx, "new.example")
    user = api("create_user", Name="alice", DisplayName="")["UserId"]
    api("register_to_work_mail", EntityId=user, Email="alice@new.example")
    assert fails("new.example") == "MailDomainInUseException"
    assert claim(store, "new.example")[0] == api.organization.number
    api("deregister_from_work_mail", EntityId=user)
    for _ in range(2):
        api("deregister_mail_domain", DomainName="New.example")
    assert claim(store, "new.example") == (None, None)
    assert fails("example.test") == "InvalidParameterException"
    assert fails("example.postroom.test") == "InvalidParameterException"
    assert claim(store, "example.test") == (api.organization.number, api.organization.number)


def test_a_domain_is_one_organizations(api: Api, store: Store) -> None:
    other = make_organization(store, number=2, alias="other")
    api("register_mail_domain", DomainName="new.example")
    theirs = Api(api.client, other)
    assert theirs.fails("register_mail_domain", DomainName="NEW.example") == "MailDomainInUseException"
    theirs("deregister_mail_domain", DomainName="new.example")
    assert claim(store, "new.example")[0] == api.organization.number
    assert theirs.fails("get_mail_domain", DomainName="new.example") == "MailDomainNotFoundException"


def test_a_refused_domain_leaves_no_claim(api: Api, store: Store) -> None:
    assert api.fails("register_mail_domain", DomainName="not..a.domain") == "InvalidParameterException"
    with store.transaction(api.organization.number) as tx:
        for number in range(998):
            domains.register(tx, f"d{number}.example")
    assert api.fails("register_mail_domain", DomainName="more.example") == "LimitExceededException"
    assert claim(store, "more.example") == (None, None)


def test_nobody_takes_the_test_domain_of_another(api: Api) -> None:
    for name in ("postroom.test", "victim.postroom.test", "a.example.postroom.test"):
        assert api.fails("register_mail_domain", DomainName=name) == "MailDomainInUseException"
    api("register_mail_domain", DomainName="example.postroom.test")


def test_in_a_lab_a_new_domain_is_trusted(connect: Callable[[Settings], Any], organization: Organization, store: Store) -> None:
    api = Api(connect(Settings(facilities=Facilities(mail_domains=MailDomainPolicy(trust=True)))), organization)
    api("register_mail_domain", DomainName="lab.example")
    assert api("get_mail_domain", DomainName="lab.example")["OwnershipVerificationStatus"] == "VERIFIED"
    assert claim(store, "lab.example") == (organization.number, organization.number)
    user = api("create_user", Name="alice", DisplayName="")["UserId"]
    api("register_to_work_mail", EntityId=user, Email="alice@lab.example")


def test_a_lab_trusts_a_domain_that_was_pending(
    api: Api, connect: Callable[[Settings], Any], organization: Organization, store: Store
) -> None:
    api("register_mail_domain", DomainName="lab.example")
    assert claim(store, "lab.example") == (organization.number, None)
    trusting = Api(connect(Settings(facilities=Facilities(mail_domains=MailDomainPolicy(trust=True)))), organization)
    trusting("register_mail_domain", DomainName="lab.example")
    assert api("get_mail_domain", DomainName="lab.example")["OwnershipVerificationStatus"] == "VERIFIED"
    assert claim(store, "lab.example") == (organization.number, organization.number)


def test_a_hosted_zone_needs_aws(api: Api) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        api.client.create_organization(Alias="zoned", Domains=[{"DomainName": "zoned.example", "HostedZoneId": "Z1"}])
    api.client.create_organization(Alias="zoned", Domains=[{"DomainName": "zoned.example"}])


def test_what_has_failed_begins_anew(api: Api, store: Store) -> None:
    api("register_mail_domain", DomainName="new.example")
    with store.transaction(api.organization.number) as tx:
        domains.set_verification(tx, "new.example", ownership="VERIFIED", dkim="FAILED")
    shown = api("get_mail_domain", DomainName="new.example")
    assert (shown["OwnershipVerificationStatus"], shown["DkimVerificationStatus"]) == ("VERIFIED", "FAILED")
    api("register_mail_domain", DomainName="new.example")
    shown = api("get_mail_domain", DomainName="new.example")
    assert (shown["OwnershipVerificationStatus"], shown["DkimVerificationStatus"]) == ("VERIFIED", "PENDING")
