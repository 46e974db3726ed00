"""Every list comes in pages: of 1, 2 and 100, while others add to it, and never from a token made for something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from postroom.api.model import load
from postroom.policy import tokens
from tests.api.conftest import Gate

Params = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """A list: its operation, the member that holds it, what names an entry, and how number `n` is added."""

    operation: str
    member: str
    identity: Callable[[Any], str]
    add: Callable[[House, int], str]
    """Adds an entry and gives what names it."""
    where: Callable[[House], Params] = lambda house: {}
    counted: int = 6
    begins_empty: bool = True


class House:
    """An organization to add things to."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.id = gate, gate.organization_of()
        self.user = self("CreateUser", Name="owner", DisplayName="Owner")["UserId"]
        self("RegisterToWorkMail", EntityId=self.user, Email="owner@example.postroom.test")
        self.group = self("CreateGroup", Name="owners")["GroupId"]
        self.room = self("CreateResource", Name="owned", Type="ROOM")["ResourceId"]

    def __call__(self, operation: str, **params: Any) -> Params:
        reply = self.gate.call(operation, {"OrganizationId": self.id} | params)
        assert reply.status == 200, (operation, params, reply.body)
        return reply.json

    def refusal(self, operation: str, **params: Any) -> str:
        reply = self.gate.call(operation, {"OrganizationId": self.id} | params)
        assert reply.status == 400, (operation, params, reply.body)
        return reply.code

    def member(self, number: int) -> str:
        return str(self("CreateUser", Name=f"member{number}", DisplayName=f"Member {number}")["UserId"])


def _alias(house: House, number: int) -> str:
    alias = f"alias{number}@example.postroom.test"
    house("CreateAlias", EntityId=house.user, Alias=alias)
    return alias


def _domain(house: House, number: int) -> str:
    house("RegisterMailDomain", DomainName=f"domain{number}.example")
    return f"domain{number}.example"


def _member(house: House, number: int) -> str:
    member = house.member(number)
    house("AssociateMemberToGroup", GroupId=house.group, MemberId=member)
    return member


def _membership(house: House, number: int) -> str:
    group = house("CreateGroup", Name=f"group{number}")["GroupId"]
    house("AssociateMemberToGroup", GroupId=group, MemberId=house.user)
    return str(group)


def _delegate(house: House, number: int) -> str:
    delegate = house.member(number)
    house("AssociateDelegateToResource", ResourceId=house.room, EntityId=delegate)
    return delegate


def _grantee(house: House, number: int) -> str:
    grantee = house.member(number)
    house("RegisterToWorkMail", EntityId=grantee, Email=f"member{number}@example.postroom.test")
    house("PutMailboxPermissions", EntityId=house.user, GranteeId=grantee, PermissionValues=["SEND_AS"])
    return grantee


def _override(house: House, number: int) -> str:
    house("PutMobileDeviceAccessOverride", UserId=house.user, DeviceId=f"device{number}", Effect="DENY")
    return f"device{number}"


def _role(house: House, number: int) -> str:
    return str(house("CreateImpersonationRole", Name=f"role {number}", Type="READ_ONLY", Rules=[])["ImpersonationRoleId"])


def _availability(house: House, number: int) -> str:
    provider = {"EwsEndpoint": "https://ews.example/EWS/Exchange.asmx", "EwsUsername": "reader", "EwsPassword": "Secret-4711"}
    house("CreateAvailabilityConfiguration", DomainName=f"remote{number}.example", EwsProvider=provider)
    return f"remote{number}.example"


def _organization(house: House, number: int) -> str:
    return str(house("CreateOrganization", Alias=f"other{number}")["OrganizationId"])


def _provided(house: House) -> Params:
    """Let tokens count, and list those of one user."""
    instance = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
    application = house.gate.workmail.create_identity_center_application(Name="mail", InstanceArn=instance)["ApplicationArn"]
    house(
        "PutIdentityProviderConfiguration",
        AuthenticationMode="IDENTITY_PROVIDER_AND_DIRECTORY",
        IdentityCenterConfiguration={"InstanceArn": instance, "ApplicationArn": application},
        PersonalAccessTokenConfiguration={"Status": "ACTIVE"},
    )
    return {"UserId": house.user}


def _token(house: House, number: int) -> str:
    """Make a token as its owner does, where the data is."""
    with house.gate.store.transaction(1) as tx:
        return tokens.create(tx, house.user, name=f"device {number}")[0].id


def by(member: str) -> Callable[[Any], str]:
    return lambda row: str(row[member])


def _made(operation: str, member: str, **params: Any) -> Callable[[House, int], str]:
    return lambda house, number: str(house(operation, Name=f"entry{number}", **params)[member])


LISTS = [
    Listing("ListAliases", "Aliases", str, _alias, lambda house: {"EntityId": house.user}, begins_empty=False),
    Listing("ListAvailabilityConfigurations", "AvailabilityConfigurations", by("DomainName"), _availability),
    Listing("ListGroupMembers", "Members", by("Id"), _member, lambda house: {"GroupId": house.group}),
    Listing("ListGroups", "Groups", by("Id"), _made("CreateGroup", "GroupId"), begins_empty=False),
    Listing("ListGroupsForEntity", "Groups", by("GroupId"), _membership, lambda house: {"EntityId": house.user}),
    Listing("ListImpersonationRoles", "Roles", by("ImpersonationRoleId"), _role),
    Listing("ListMailDomains", "MailDomains", by("DomainName"), _domain, begins_empty=False),
    Listing("ListMailboxPermissions", "Permissions", by("GranteeId"), _grantee, lambda house: {"EntityId": house.user}),
    Listing("ListMobileDeviceAccessOverrides", "Overrides", by("DeviceId"), _override),
    Listing("ListOrganizations", "OrganizationSummaries", by("OrganizationId"), _organization, begins_empty=False),
    Listing("ListPersonalAccessTokens", "PersonalAccessTokenSummaries", by("PersonalAccessTokenId"), _token, _provided),
    Listing("ListResourceDelegates", "Delegates", by("Id"), _delegate, lambda house: {"ResourceId": house.room}),
    Listing("ListResources", "Resources", by("Id"), _made("CreateResource", "ResourceId", Type="ROOM"), begins_empty=False),
    Listing("ListUsers", "Users", by("Id"), _made("CreateUser", "UserId", DisplayName="An entry"), begins_empty=False),
]
ELSEWHERE = {"ListMailboxExportJobs"}
"""Whose entries are not simply made through the API: their pages are tried where the features are."""


def test_every_paged_operation_is_tried() -> None:
    paged = {name for name, operation in load().operations.items() if operation.paged}
    assert {listing.operation for listing in LISTS} | ELSEWHERE == paged


@pytest.mark.parametrize("listing", LISTS, ids=lambda listing: listing.operation)
def test_pages(gate: Gate, listing: Listing) -> None:
    house = House(gate)
    where = listing.where(house)
    begun = [listing.identity(row) for row in house(listing.operation, **where)[listing.member]]
    assert bool(begun) != listing.begins_empty
    known = begun + [listing.add(house, number) for number in range(listing.counted)]
    late = iter(range(50, 99))
    for size in (1, 2, 100):
        seen: list[str] = []
        token: Params = {}
        added: list[str] = []
        while True:
            answer = house(listing.operation, MaxResults=size, **where, **token)
            rows = answer[listing.member]
            assert len(rows) <= size
            seen += [listing.identity(row) for row in rows]
            if "NextToken" not in answer:
                break
            assert len(rows) == size
            token = {"NextToken": answer["NextToken"]}
            if len(added) < 2:
                added.append(listing.add(house, next(late)))
        assert len(set(seen)) == len(seen)
        assert set(known) <= set(seen) <= {*known, *added}
        assert added or size == 100
        known += added


@pytest.mark.parametrize("listing", LISTS, ids=lambda listing: listing.operation)
def test_a_token_from_elsewhere_is_refused(gate: Gate, listing: Listing) -> None:
    house = House(gate)
    where = listing.where(house)
    for number in range(2):
        listing.add(house, number)
    token = house(listing.operation, MaxResults=1, **where)["NextToken"]
    foreign = house("ListUsers" if listing.operation != "ListUsers" else "ListAliases", **_some_page(house, listing))["NextToken"]
    for wrong in (foreign, token[:-1], f"{token}A", "AAAA", " "):
        assert house.refusal(listing.operation, NextToken=wrong, **where) == "InvalidParameterException"
    if listing.operation != "ListOrganizations":
        other = House.__new__(House)
        other.gate, other.id = gate, gate.organization_of("another")
        assert other.refusal(listing.operation, NextToken=token, **where) in ("InvalidParameterException", "EntityNotFoundException")


def _some_page(house: House, listing: Listing) -> Params:
    """Make another list have a second page."""
    if listing.operation == "ListUsers":
        _alias(house, 0)
        return {"EntityId": house.user, "MaxResults": 1}
    house.member(98)
    return {"MaxResults": 1}
