"""Every operation answers in the shape that the model gives its output."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from postroom.api import operations
from postroom.api.model import Shape, full_match, load
from postroom.api.operation import OPERATIONS
from postroom.policy import tokens
from tests.api.conftest import Gate

operations.enter_all()


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
    rule = inside("CreateMobileDeviceAccessRule", Name="a", Effect="DENY", DeviceTypes=["x"], NotDeviceModels=["y"])["MobileDeviceAccessRuleId"]
    inside("ListMobileDeviceAccessRules")
    inside("GetMobileDeviceAccessEffect", DeviceType="x")
    inside("UpdateMobileDeviceAccessRule", MobileDeviceAccessRuleId=rule, Name="a", Effect="ALLOW")
    inside("DeleteMobileDeviceAccessRule", MobileDeviceAccessRuleId=rule)
    inside("PutMobileDeviceAccessOverride", UserId=user, DeviceId="A1", Effect="DENY", Description="d")
    inside("GetMobileDeviceAccessOverride", UserId=user, DeviceId="A1")
    inside("ListMobileDeviceAccessOverrides", MaxResults=1)
    inside("DeleteMobileDeviceAccessOverride", UserId=user, DeviceId="A1")
    rules = [{"ImpersonationRuleId": "r", "Name": "n", "Description": "d", "Effect": "ALLOW", "TargetUsers": [user]}]
    role = inside("CreateImpersonationRole", Name="a", Type="READ_ONLY", Description="d", Rules=rules)["ImpersonationRoleId"]
    inside("GetImpersonationRole", ImpersonationRoleId=role)
    inside("ListImpersonationRoles", MaxResults=1)
    inside("GetImpersonationRoleEffect", ImpersonationRoleId=role, TargetUser=user)
    inside("AssumeImpersonationRole", ImpersonationRoleId=role)
    inside("UpdateImpersonationRole", ImpersonationRoleId=role, Name="a", Type="FULL_ACCESS", Rules=[])
    inside("DeleteImpersonationRole", ImpersonationRoleId=role)


def rules(inside: Callable[..., Any], user: str) -> None:
    """Call the operations of access control rules."""
    inside("PutAccessControlRule", Name="office", Effect="ALLOW", Description="x", IpRanges=["10.0.0.0/8"], UserIds=[user])
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


def test_every_answer_fits_its_shape(gate: Gate) -> None:
    model, called = load(), set()

    def call(name: str, **params: Any) -> dict[str, Any]:
        reply = gate.call(name, params)
        assert reply.status == 200, (name, reply.body)
        assert problems(model.operations[name].output, reply.json) == [], name
        called.add(name)
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
    inside("UpdateUser", UserId=user, LastName="Builder", City="Here")
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
    keeping(inside)

    def make_token() -> str:
        with gate.store.transaction(1) as tx:
            return tokens.create(tx, user, name="phone", days=7, scopes=["IMAP"])[0].id

    identity_provider(call, inside, make_token)
    call("TagResource", ResourceARN=arn, Tags=[{"Key": "team", "Value": "a"}])
    call("ListTagsForResource", ResourceARN=arn)
    call("UntagResource", ResourceARN=arn, TagKeys=["team"])
    for entity in (user, group, room):
        inside("DeregisterFromWorkMail", EntityId=entity)
    inside("DescribeUser", UserId=user)
    inside("DeleteUser", UserId=user)
    inside("DeleteGroup", GroupId=group)
    inside("DeleteResource", ResourceId=room)
    call("DeleteOrganization", OrganizationId=organization, DeleteDirectory=True, ForceDelete=True)
    call("ListOrganizations")
    assert set(OPERATIONS) <= called, set(OPERATIONS) - called
