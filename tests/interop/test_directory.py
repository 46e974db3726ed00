"""What boto3 and the AWS command line say about groups, resources, addresses and domains is what SMTP and IMAP do at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.reader import Reader
from tests.interop.test_aws import aws, deliver, refused
from tests.program import Ready, User


class Administrator:
    """boto3, and the command line where a list is filtered."""

    def __init__(self, ready: Ready) -> None:
        self.ready, self.client = ready, ready.workmail()

    def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.client, operation)(OrganizationId=self.ready.organization_id, **params)
        answer.pop("ResponseMetadata")
        return answer

    def shown(self, operation: str, *arguments: str) -> dict[str, Any]:
        done = aws(self.ready, operation, "--organization-id", self.ready.organization_id, *arguments)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def administrator(ready: Ready) -> Administrator:
    return Administrator(ready)


def letters(ready: Ready, user: User) -> int:
    with Reader(ready, user) as reader:
        return len(reader.letters())


@pytest.mark.effect(
    "CreateGroup",
    "UpdateGroup",
    "DescribeGroup",
    "ListGroups",
    "DeleteGroup",
    "AssociateMemberToGroup",
    "DisassociateMemberFromGroup",
    "ListGroupMembers",
    "ListGroupsForEntity",
)
def test_a_letter_goes_to_whom_a_group_has(ready: Ready, administrator: Administrator, hired: Callable[[], User]) -> None:
    one, two, name = hired(), hired(), f"staff-{uuid.uuid4().hex[:8]}"
    email = f"{name}@{ready.domain}"
    staff = administrator("create_group", Name=name, HiddenFromGlobalAddressList=True)["GroupId"]
    inner = administrator("create_group", Name=f"{name}-inner")["GroupId"]
    assert refused(ready, email)
    administrator("register_to_work_mail", EntityId=name, Email=email)
    administrator("register_to_work_mail", EntityId=inner, Email=f"{name}-inner@{ready.domain}")
    for group, member in ((staff, one.id), (staff, inner), (inner, two.email), (inner, one.id)):
        administrator("associate_member_to_group", GroupId=group, MemberId=member)
    assert deliver(ready, email) == {}
    assert (letters(ready, one), letters(ready, two)) == (1, 1), "each once, though one is in both"
    administrator("disassociate_member_from_group", GroupId=staff, MemberId=f"{name}-inner")
    administrator("update_group", GroupId=email, HiddenFromGlobalAddressList=False)
    assert deliver(ready, email) == {}
    assert (letters(ready, one), letters(ready, two)) == (2, 1)

    shown = administrator("describe_group", GroupId=email)
    assert (shown["GroupId"], shown["State"], shown["HiddenFromGlobalAddressList"]) == (staff, "ENABLED", False)
    listed = administrator.shown("list-groups", "--filters", f"NamePrefix={name.upper()}")["Groups"]
    assert {group["Name"] for group in listed} == {name, f"{name}-inner"}
    members = administrator("list_group_members", GroupId=staff)["Members"]
    assert [(member["Id"], member["Type"]) for member in members] == [(one.id, "USER")]
    of_one = administrator.shown("list-groups-for-entity", "--entity-id", one.email, "--filters", f"GroupNamePrefix={name}-")["Groups"]
    assert of_one == [{"GroupId": inner, "GroupName": f"{name}-inner"}]

    administrator("deregister_from_work_mail", EntityId=staff)
    assert refused(ready, email)
    administrator("delete_group", GroupId=staff)
    assert administrator("list_groups", Filters={"PrimaryEmailPrefix": email})["Groups"] == []


@pytest.mark.effect("CreateAlias", "DeleteAlias", "ListAliases", "UpdatePrimaryEmailAddress", "DescribeEntity", "DescribeUser", "ListUsers")
def test_addresses_come_go_and_swap(ready: Ready, administrator: Administrator, user: User) -> None:
    old, local = user.email, user.email.partition("@")[0]
    new = f"new-{local}@{ready.domain}"
    assert refused(ready, new)
    administrator("create_alias", EntityId=user.id, Alias=new)
    for address in (new.upper(), old, f"{local}+tag@{ready.domain}"):
        assert deliver(ready, address) == {}
    administrator("update_primary_email_address", EntityId=old, Email=new)
    assert administrator("describe_user", UserId=user.id)["Email"] == new
    assert administrator.shown("list-users", "--filters", f"PrimaryEmailPrefix={new}")["Users"][0]["Id"] == user.id
    assert sorted(administrator("list_aliases", EntityId=user.id)["Aliases"]) == sorted([old, new])
    for address in (old, new):
        assert administrator("describe_entity", Email=address) == {"EntityId": user.id, "Name": local, "Type": "USER"}
        assert deliver(ready, address) == {}
    assert letters(ready, User(user.id, new, user.password)) == 5
    administrator("delete_alias", EntityId=user.id, Alias=old)
    assert refused(ready, old)
    assert deliver(ready, new) == {}


@pytest.mark.effect("ResetPassword", "UpdateUser")
def test_a_new_password_opens_the_mailbox_and_attributes_are_kept(ready: Ready, administrator: Administrator, user: User) -> None:
    administrator("reset_password", UserId=user.id, Password="Other-Horse-8y")
    with pytest.raises(Exception, match=r"AUTHENTICATIONFAILED|[Aa]uthentication|invalid"):
        Reader(ready, user)
    with Reader(ready, User(user.id, user.email, "Other-Horse-8y")):
        pass
    attributes = {"FirstName": "Zoë", "LastName": "Müller", "JobTitle": "Head", "Telephone": "+41", "Country": "CH", "Office": "1"}
    administrator("update_user", UserId=user.email, DisplayName="Zoë Müller", HiddenFromGlobalAddressList=True, **attributes)
    shown = administrator("describe_user", UserId=user.email)
    assert shown.items() >= (attributes | {"DisplayName": "Zoë Müller", "HiddenFromGlobalAddressList": True}).items()
    assert {"EnabledDate", "MailboxProvisionedDate"} <= shown.keys()
    assert shown.keys().isdisjoint({"DisabledDate", "MailboxDeprovisionedDate"})


@pytest.mark.effect(
    "CreateResource",
    "UpdateResource",
    "DescribeResource",
    "ListResources",
    "DeleteResource",
    "AssociateDelegateToResource",
    "DisassociateDelegateFromResource",
    "ListResourceDelegates",
)
def test_a_resource_takes_mail_while_it_is_registered(ready: Ready, administrator: Administrator, user: User) -> None:
    name = f"room-{uuid.uuid4().hex[:8]}"
    email = f"{name}@{ready.domain}"
    room = administrator("create_resource", Name=name, Type="ROOM", Description="By the window")["ResourceId"]
    assert refused(ready, email)
    administrator("register_to_work_mail", EntityId=room, Email=email)
    assert deliver(ready, email) == {}
    assert administrator("get_mailbox_details", UserId=room)["MailboxSize"] > 0
    administrator("associate_delegate_to_resource", ResourceId=email, EntityId=user.email)
    options = {"AutoAcceptRequests": False, "AutoDeclineRecurringRequests": True, "AutoDeclineConflictingRequests": False}
    administrator("update_resource", ResourceId=room, Type="EQUIPMENT", Description="", BookingOptions=options)
    shown = administrator("describe_resource", ResourceId=name)
    assert (shown["Type"], shown["State"], shown["BookingOptions"]) == ("EQUIPMENT", "ENABLED", options)
    assert "Description" not in shown
    listed = administrator.shown("list-resources", "--filters", f"NamePrefix={name}")["Resources"]
    assert [(one["Id"], one["Email"], one["Type"]) for one in listed] == [(room, email, "EQUIPMENT")]
    delegates = administrator("list_resource_delegates", ResourceId=room)["Delegates"]
    assert delegates == [{"Id": user.id, "Type": "USER"}]
    administrator("update_resource", ResourceId=room, BookingOptions={"AutoAcceptRequests": True})
    administrator("disassociate_delegate_from_resource", ResourceId=room, EntityId=user.id)
    assert administrator("list_resource_delegates", ResourceId=room)["Delegates"] == []
    administrator("deregister_from_work_mail", EntityId=room)
    assert refused(ready, email)
    administrator("delete_resource", ResourceId=room)
    assert administrator("list_resources", Filters={"NamePrefix": name})["Resources"] == []


@pytest.mark.effect("RegisterMailDomain", "ListMailDomains", "UpdateDefaultMailDomain", "DeregisterMailDomain")
def test_a_domain_takes_mail_while_the_organization_has_it(ready: Ready, administrator: Administrator, user: User) -> None:
    domain = f"d{uuid.uuid4().hex[:8]}.test"
    address = f"someone@{domain}"
    assert refused(ready, address)
    administrator("register_mail_domain", DomainName=domain)
    administrator("create_alias", EntityId=user.id, Alias=address)
    assert deliver(ready, address) == {}
    assert letters(ready, user) == 1
    records = administrator.shown("get-mail-domain", "--domain-name", domain)["Records"]
    assert [record["Type"] for record in records] == ["TXT", "MX", "CNAME", "CNAME", "CNAME", "CNAME", "TXT", "TXT"]
    assert [record["Hostname"] for record in records[:3]] == [f"_amazonses.{domain}", domain, f"autodiscover.{domain}"]
    before = next(one["DomainName"] for one in administrator("list_mail_domains")["MailDomains"] if one["DefaultDomain"])
    administrator("update_default_mail_domain", DomainName=domain)
    assert {"DomainName": domain, "DefaultDomain": True} in administrator("list_mail_domains")["MailDomains"]
    administrator("update_default_mail_domain", DomainName=before)
    administrator("delete_alias", EntityId=user.id, Alias=address)
    administrator("deregister_mail_domain", DomainName=domain)
    assert refused(ready, address)
    assert domain not in str(administrator("list_mail_domains"))
