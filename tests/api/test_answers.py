"""Every operation answers in the shape that the model gives its output, and every member of the output is seen set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from postroom.api import operations
from postroom.api.model import Shape, full_match, load
from postroom.api.operation import OPERATIONS, Facilities
from postroom.api.settings import Settings
from postroom.mailbox import exports
from postroom.policy import tokens
from tests.api.conftest import ACCOUNT, REGION, SETTINGS, Gate

operations.enter_all()

IDENTITY = "0123456789-11111111-2222-3333-4444-555555555555"
NEVER_SET = {
    "DescribeOrganization.ErrorMessage": "nothing that fails leaves an organization behind",
    "DescribeOrganization.MigrationAdmin": "there is no interoperability",
    "ListOrganizations.OrganizationSummaries.ErrorMessage": "nothing that fails leaves an organization behind",
}
"""Members of outputs that no answer has, and why."""


@pytest.fixture
def settings() -> Settings:
    lent = Facilities(mail_domains=SETTINGS.facilities.mail_domains, buckets=frozenset({"archive"}))
    return Settings(region=REGION, account=ACCOUNT, facilities=lent)


def members(shape: Shape | None, path: str) -> Iterator[str]:
    """List the paths of every member of a shape."""
    if shape is None:
        return
    if shape.kind == "list":
        yield from members(shape.member, path)
    for member in shape.members:
        if member.name != "NextToken":  # which test_lists sees of every list
            yield f"{path}.{member.name}"
        yield from members(member.shape, f"{path}.{member.name}")


def met(value: Any, path: str) -> Iterator[str]:
    """List the paths of every member that a value has."""
    if isinstance(value, list):
        for entry in value:
            yield from met(entry, path)
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield f"{path}.{name}"
            yield from met(entry, f"{path}.{name}")


def problems(shape: Shape | None, value: Any, path: str = "$") -> list[str]:
    """Say where a value does not fit a shape."""
    if shape is None:
        return [] if value == {} else [f"{path}: not empty"]
    if shape.kind == "structure":
        members = {member.name: member for member in shape.members}
        found = [f"{path}.{name}: not in the shape" for name in value if name not in members]
        found += [f"{path}.{member.name}: missing" for member in shape.members if member.required and member.name not in value]
        return found + [text for name in value if name in members for text in problems(members[name].shape, value[name], f"{path}.{name}")]
    if shape.kind == "list":
        return [text for place, entry in enumerate(value) for text in problems(shape.member, entry, f"{path}[{place}]")]
    if not isinstance(value, {"string": str, "boolean": bool, "timestamp": float, "double": int | float}.get(shape.kind, int)):
        return [f"{path}: {value!r} is no {shape.kind}"]
    if isinstance(value, str):
        fits = (
            (not shape.enum or value in shape.enum)
            and (shape.pattern is None or re.match(full_match(shape.pattern), value))
            and (shape.least or 0) <= len(value) <= (shape.most or len(value))
        )
        return [] if fits else [f"{path}: {value!r} is no {shape.name}"]
    return []


def devices_and_roles(inside: Callable[..., Any], user: str) -> None:
    """Call everything about mobile devices and impersonation."""
    kinds = ("Types", "Models", "OperatingSystems", "UserAgents")
    asked = {f"{sign}Device{kind}": ["x"] for sign in ("", "Not") for kind in kinds}
    rule = inside("CreateMobileDeviceAccessRule", Name="a", Description="d", Effect="DENY", **asked)["MobileDeviceAccessRuleId"]
    inside("ListMobileDeviceAccessRules")
    inside("GetMobileDeviceAccessEffect", DeviceType="x")
    inside("UpdateMobileDeviceAccessRule", MobileDeviceAccessRuleId=rule, Name="a", Effect="ALLOW")
    inside("DeleteMobileDeviceAccessRule", MobileDeviceAccessRuleId=rule)
    inside("PutMobileDeviceAccessOverride", UserId=user, DeviceId="A1", Effect="DENY", Description="d")
    inside("GetMobileDeviceAccessOverride", UserId=user, DeviceId="A1")
    inside("ListMobileDeviceAccessOverrides", MaxResults=1)
    inside("DeleteMobileDeviceAccessOverride", UserId=user, DeviceId="A1")
    rules = [{"ImpersonationRuleId": "r", "Name": "n", "Description": "d", "Effect": "ALLOW"}]
    rules.append({"ImpersonationRuleId": "s", "Effect": "DENY", "TargetUsers": [user], "NotTargetUsers": [user]})
    role = inside("CreateImpersonationRole", Name="a", Type="READ_ONLY", Description="d", Rules=rules)["ImpersonationRoleId"]
    inside("GetImpersonationRole", ImpersonationRoleId=role)
    inside("ListImpersonationRoles", MaxResults=1)
    inside("GetImpersonationRoleEffect", ImpersonationRoleId=role, TargetUser=user)
    inside("AssumeImpersonationRole", ImpersonationRoleId=role)
    inside("UpdateImpersonationRole", ImpersonationRoleId=role, Name="a", Type="FULL_ACCESS", Rules=[])
    inside("DeleteImpersonationRole", ImpersonationRoleId=role)


def rules(inside: Callable[..., Any], user: str) -> None:
    """Call the operations of access control rules."""
    role = inside("CreateImpersonationRole", Name="a", Type="READ_ONLY", Rules=[])["ImpersonationRoleId"]
    asked = {"IpRanges": ["10.0.0.0/8"], "Actions": ["IMAP"], "UserIds": [user], "ImpersonationRoleIds": [role]}
    asked |= {f"Not{name}": values for name, values in asked.items()}
    inside("PutAccessControlRule", Name="office", Effect="ALLOW", Description="x", **asked)
    inside("ListAccessControlRules")
    inside("GetAccessControlEffect", IpAddress="10.1.2.3", Action="IMAP", UserId=user)
    inside("DeleteAccessControlRule", Name="office")


def availability(inside: Callable[..., Any]) -> None:
    """Call everything about availability."""
    function = {"LambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:availability"}
    ews = {"EwsEndpoint": "https://ews.other.test/EWS/", "EwsUsername": "us", "EwsPassword": "secret"}
    inside("CreateAvailabilityConfiguration", DomainName="other.test", LambdaProvider=function)
    inside("ListAvailabilityConfigurations")
    inside("UpdateAvailabilityConfiguration", DomainName="other.test", EwsProvider=ews)
    inside("ListAvailabilityConfigurations", MaxResults=1)
    inside("TestAvailabilityConfiguration", DomainName="other.test")
    inside("DeleteAvailabilityConfiguration", DomainName="other.test")


def identity_provider(call: Callable[..., Any], inside: Callable[..., Any], make_token: Callable[[], str]) -> None:
    """Call everything about the identity provider and personal access tokens."""
    instance = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
    application = call("CreateIdentityCenterApplication", Name="mail", InstanceArn=instance, ClientToken="a")["ApplicationArn"]
    inside(
        "PutIdentityProviderConfiguration",
        AuthenticationMode="IDENTITY_PROVIDER_AND_DIRECTORY",
        IdentityCenterConfiguration={"InstanceArn": instance, "ApplicationArn": application},
        PersonalAccessTokenConfiguration={"Status": "ACTIVE", "LifetimeInDays": 30},
    )
    inside("DescribeIdentityProviderConfiguration")
    inside("DescribeUser", UserId="bob")
    inside("ListUsers")
    token = make_token()
    inside("ListPersonalAccessTokens", MaxResults=1)
    inside("GetPersonalAccessTokenMetadata", PersonalAccessTokenId=token)
    inside("DeletePersonalAccessToken", PersonalAccessTokenId=token)
    inside("DeleteIdentityProviderConfiguration")
    call("DeleteIdentityCenterApplication", ApplicationArn=application)


def watching(inside: Callable[..., dict[str, Any]]) -> None:
    """Call what is about DMARC and the events of mail."""
    inside("PutInboundDmarcSettings", Enforced=False)
    inside("DescribeInboundDmarcSettings")
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/workmail/emailevents/example:*"
    inside("PutEmailMonitoringConfiguration", LogGroupArn=group, RoleArn="arn:aws:iam::123456789012:role/events")
    inside("DescribeEmailMonitoringConfiguration")
    inside("DeleteEmailMonitoringConfiguration")


def keeping(inside: Callable[..., dict[str, Any]]) -> None:
    """Call what is about retention."""
    inside("PutRetentionPolicy", Name="p", Description="d", FolderConfigurations=[{"Name": "INBOX", "Action": "DELETE", "Period": 1}])
    policy = inside("GetDefaultRetentionPolicy")["Id"]
    inside("PutRetentionPolicy", Name="p", FolderConfigurations=[{"Name": "DRAFTS", "Action": "NONE"}])
    inside("GetDefaultRetentionPolicy")
    inside("DeleteRetentionPolicy", Id=policy)


def permissions(inside: Callable[..., Any], owner: str, grantee: str) -> None:
    """Call what is about permissions."""
    inside("PutMailboxPermissions", EntityId=owner, GranteeId=grantee, PermissionValues=["SEND_AS"])
    inside("ListMailboxPermissions", EntityId=owner, MaxResults=1)
    inside("DeleteMailboxPermissions", EntityId=owner, GranteeId=grantee)


def exporting(inside: Callable[..., Any], gate: Gate, entity: str) -> None:
    """Call what is about exports; one ends badly."""
    order = {
        "RoleArn": "arn:aws:iam::123456789012:role/exporter",
        "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
        "S3BucketName": "archive",
        "S3Prefix": "mail/",
        "Description": "Leaving",
    }
    first = inside("StartMailboxExportJob", EntityId=entity, ClientToken="a", **order)["JobId"]
    with gate.store.transaction(1) as tx:
        exports.fail(tx, first, "The disk is full.")
    inside("DescribeMailboxExportJob", JobId=first)
    second = inside("StartMailboxExportJob", EntityId=entity, ClientToken="b", **order)["JobId"]
    inside("CancelMailboxExportJob", JobId=second, ClientToken="c")
    inside("ListMailboxExportJobs", MaxResults=1)


def test_every_answer_fits_its_shape(gate: Gate) -> None:
    model, called, seen = load(), set(), set()

    def call(name: str, **params: Any) -> dict[str, Any]:
        reply = gate.call(name, params)
        assert reply.status == 200, (name, reply.body)
        assert problems(model.operations[name].output, reply.json) == [], name
        called.add(name)
        seen.update(met(reply.json, name))
        return reply.json

    organization = call("CreateOrganization", Alias="example")["OrganizationId"]
    arn = call("DescribeOrganization", OrganizationId=organization)["ARN"]
    call("ListOrganizations")

    def inside(name: str, **params: Any) -> dict[str, Any]:
        return call(name, OrganizationId=organization, **params)

    inside("RegisterMailDomain", DomainName="example.test", ClientToken="a")
    inside("RegisterMailDomain", DomainName="spare.test")
    inside("UpdateDefaultMailDomain", DomainName="example.test")
    inside("GetMailDomain", DomainName="example.test")
    inside("ListMailDomains", MaxResults=1)
    inside("DeregisterMailDomain", DomainName="spare.test")

    user = inside("CreateUser", Name="bob", DisplayName="Bob", Password="Some-Pass-123", FirstName="Bob")["UserId"]
    other = inside("CreateUser", Name="ann", DisplayName="Ann", Role="USER", HiddenFromGlobalAddressList=True)["UserId"]
    group = inside("CreateGroup", Name="all")["GroupId"]
    room = inside("CreateResource", Name="room", Type="ROOM", Description="big")["ResourceId"]
    for entity in (user, group, room):
        inside("RegisterToWorkMail", EntityId=entity, Email=f"a{entity[:12]}@example.test")
    words = ("Initials", "Telephone", "Street", "JobTitle", "City", "Company", "ZipCode", "Department", "Country", "Office")
    inside("UpdateUser", UserId=user, LastName="Builder", IdentityProviderUserId=IDENTITY, **dict.fromkeys(words, "Here"))
    inside("ResetPassword", UserId=user, Password="Other-Pass-123")
    inside("DescribeUser", UserId=user)
    inside("DescribeUser", UserId=other)
    inside("ListUsers", MaxResults=1)
    inside("ListUsers", Filters={"UsernamePrefix": "b"})
    inside("UpdateGroup", GroupId=group, HiddenFromGlobalAddressList=True)
    inside("DescribeGroup", GroupId=group)
    inside("ListGroups", MaxResults=1)
    inside("AssociateMemberToGroup", GroupId=group, MemberId=user)
    inside("ListGroupMembers", GroupId=group)
    inside("ListGroupsForEntity", EntityId=user)
    inside("DisassociateMemberFromGroup", GroupId=group, MemberId=user)
    inside("UpdateResource", ResourceId=room, BookingOptions={"AutoAcceptRequests": True})
    inside("DescribeResource", ResourceId=room)
    inside("ListResources", MaxResults=1)
    inside("AssociateDelegateToResource", ResourceId=room, EntityId=user)
    inside("ListResourceDelegates", ResourceId=room)
    inside("DisassociateDelegateFromResource", ResourceId=room, EntityId=user)
    inside("DescribeEntity", Email=f"a{user[:12]}@example.test")
    inside("CreateAlias", EntityId=user, Alias="second@example.test")
    inside("UpdatePrimaryEmailAddress", EntityId=user, Email="third@example.test")
    inside("ListAliases", EntityId=user, MaxResults=1)
    inside("DeleteAlias", EntityId=user, Alias="second@example.test")
    inside("UpdateMailboxQuota", UserId=user, MailboxQuota=100)
    inside("GetMailboxDetails", UserId=user)
    rules(inside, user)
    devices_and_roles(inside, user)
    availability(inside)
    watching(inside)
    exporting(inside, gate, user)
    permissions(inside, user, group)
    keeping(inside)

    def make_token() -> str:
        with gate.store.transaction(1) as tx:
            made = tokens.create(tx, user, name="phone", days=7, scopes=["IMAP"])[0].id
            tokens.note_use(tx, made, tx.now)
            return made

    identity_provider(call, inside, make_token)
    call("TagResource", ResourceARN=arn, Tags=[{"Key": "team", "Value": "a"}])
    call("ListTagsForResource", ResourceARN=arn)
    call("UntagResource", ResourceARN=arn, TagKeys=["team"])
    for entity in (user, group, room):
        inside("DeregisterFromWorkMail", EntityId=entity)
    for name, about in {"User": user, "Group": group, "Resource": room}.items():
        inside(f"Describe{name}", **{f"{name}Id": about})
        inside(f"List{name}s")
    inside("AssociateMemberToGroup", GroupId=group, MemberId=user)
    inside("ListGroupMembers", GroupId=group)
    inside("DeleteUser", UserId=user)
    inside("DeleteGroup", GroupId=group)
    inside("DeleteResource", ResourceId=room)
    call("DeleteOrganization", OrganizationId=organization, DeleteDirectory=True, ForceDelete=True)
    call("ListOrganizations")
    assert set(OPERATIONS) == called == set(model.operations)
    every = {path for name, operation in model.operations.items() for path in members(operation.output, name)}
    assert sorted(every - seen) == sorted(NEVER_SET)
