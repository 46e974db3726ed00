"""An operation repeated: the same answer and one effect, with a client token or by its nature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from postroom.api.model import load
from tests.api.conftest import Gate
from tests.api.test_lists import House

Params = dict[str, Any]
ROLE = {"Name": "auditor", "Type": "READ_ONLY", "Rules": []}
EWS = {"EwsEndpoint": "https://ews.example/EWS/Exchange.asmx", "EwsUsername": "reader", "EwsPassword": "Secret-4711"}
INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"


@dataclass(frozen=True)
class Case:
    """A request with a token, what shows how often it was done, and what of it may differ."""

    params: Callable[[House], Params]
    shown: Callable[[House], Any]
    other: Params
    """Members that make it another request."""


TOKENS = {
    "CreateAvailabilityConfiguration": Case(
        lambda house: {"DomainName": "remote.example", "EwsProvider": EWS},
        lambda house: len(house("ListAvailabilityConfigurations")["AvailabilityConfigurations"]),
        {"DomainName": "other.example"},
    ),
    "CreateImpersonationRole": Case(
        lambda house: ROLE,
        lambda house: len(house("ListImpersonationRoles")["Roles"]),
        {"Name": "other"},
    ),
    "CreateMobileDeviceAccessRule": Case(
        lambda house: {"Name": "phones", "Effect": "ALLOW"},
        lambda house: len(house("ListMobileDeviceAccessRules")["Rules"]) - 1,
        {"Effect": "DENY"},
    ),
    "CreateOrganization": Case(
        lambda house: {"Alias": "made"},
        lambda house: [one["Alias"] for one in house("ListOrganizations")["OrganizationSummaries"]].count("made"),
        {"Alias": "another"},
    ),
    "RegisterMailDomain": Case(
        lambda house: {"DomainName": "new.example"},
        lambda house: [one["DomainName"] for one in house("ListMailDomains")["MailDomains"]].count("new.example"),
        {"DomainName": "other.example"},
    ),
}
ELSEWHERE = {
    "CancelMailboxExportJob",
    "CreateIdentityCenterApplication",
    "DeleteOrganization",
    "StartMailboxExportJob",
}
"""Operations with tokens that are tried below or where the feature is."""


def test_every_operation_with_a_token_is_tried() -> None:
    assert TOKENS.keys() | ELSEWHERE == {name for name, operation in load().operations.items() if operation.idempotent}


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_a_token_makes_one_of_two(gate: Gate, name: str) -> None:
    house, case = House(gate), TOKENS[name]
    params = case.params(house) | {"ClientToken": "token-1"}
    answers = [house(name, **params) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert case.shown(house) == 1
    assert house.refusal(name, **params | case.other) == "InvalidParameterException"
    assert case.shown(house) == 1


def test_an_application_is_made_once(gate: Gate) -> None:
    house = House(gate)
    params = {"Name": "mail", "InstanceArn": INSTANCE, "ClientToken": "token-1"}
    answers = [house("CreateIdentityCenterApplication", **params) for _ in range(2)]
    assert answers[0] == answers[1]
    assert house("CreateIdentityCenterApplication", **params | {"ClientToken": "token-2", "Name": "other"}) != answers[0]


def test_an_organization_is_deleted_once(gate: Gate) -> None:
    house = House(gate)
    params = {"DeleteDirectory": True, "ForceDelete": True, "ClientToken": "token-1"}
    answers = [house("DeleteOrganization", **params) for _ in range(2)]
    assert answers[0] == answers[1] == {"OrganizationId": house.id, "State": "Deleted"}
    assert house.gate.organization_of() != house.id
    assert house("DeleteOrganization", **params) == answers[0]


NATURALLY: dict[str, Callable[[House], Params]] = {
    "AssociateDelegateToResource": lambda house: {"ResourceId": house.room, "EntityId": house.user},
    "AssociateMemberToGroup": lambda house: {"GroupId": house.group, "MemberId": house.user},
    "CreateAlias": lambda house: {"EntityId": house.user, "Alias": "alias@example.postroom.test"},
    "DeleteAccessControlRule": lambda house: {"Name": "default"},
    "DeleteAlias": lambda house: {"EntityId": house.user, "Alias": "alias@example.postroom.test"},
    "DeleteAvailabilityConfiguration": lambda house: {"DomainName": "remote.example"},
    "DeleteEmailMonitoringConfiguration": lambda house: {},
    "DeleteIdentityProviderConfiguration": lambda house: {},
    "DeleteImpersonationRole": lambda house: {"ImpersonationRoleId": "absent"},
    "DeleteMailboxPermissions": lambda house: {"EntityId": house.user, "GranteeId": house.group},
    "DeleteMobileDeviceAccessOverride": lambda house: {"UserId": house.user, "DeviceId": "phone"},
    "DeleteMobileDeviceAccessRule": lambda house: {"MobileDeviceAccessRuleId": "default"},
    "DeletePersonalAccessToken": lambda house: {"PersonalAccessTokenId": "absent"},
    "DeleteRetentionPolicy": lambda house: {"Id": "absent"},
    "DeregisterMailDomain": lambda house: {"DomainName": "absent.example"},
    "DisassociateDelegateFromResource": lambda house: {"ResourceId": house.room, "EntityId": house.user},
    "DisassociateMemberFromGroup": lambda house: {"GroupId": house.group, "MemberId": house.user},
    "PutAccessControlRule": lambda house: {"Name": "office", "Effect": "ALLOW", "Description": "a rule", "UserIds": [house.user]},
    "PutEmailMonitoringConfiguration": lambda house: {"LogGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:x:*"},
    "PutInboundDmarcSettings": lambda house: {"Enforced": False},
    "PutMobileDeviceAccessOverride": lambda house: {"UserId": house.user, "DeviceId": "phone", "Effect": "DENY"},
    "PutRetentionPolicy": lambda house: {"Name": "default", "FolderConfigurations": [{"Name": "INBOX", "Action": "NONE"}]},
    "RegisterToWorkMail": lambda house: {"EntityId": house.user, "Email": "owner@example.postroom.test"},
    "ResetPassword": lambda house: {"UserId": house.user, "Password": "Right-4711"},
    "TagResource": lambda house: {"ResourceARN": _arn(house), "Tags": [{"Key": "a", "Value": "b"}]},
    "UntagResource": lambda house: {"ResourceARN": _arn(house), "TagKeys": ["a"]},
    "UpdateDefaultMailDomain": lambda house: {"DomainName": "example.postroom.test"},
    "UpdateGroup": lambda house: {"GroupId": house.group, "HiddenFromGlobalAddressList": True},
    "UpdateMailboxQuota": lambda house: {"UserId": house.user, "MailboxQuota": 7},
    "UpdatePrimaryEmailAddress": lambda house: {"EntityId": house.user, "Email": "other@example.postroom.test"},
    "UpdateResource": lambda house: {"ResourceId": house.room, "Description": "a room"},
    "UpdateUser": lambda house: {"UserId": house.user, "JobTitle": "clerk"},
    "DeregisterFromWorkMail": lambda house: {"EntityId": house.user},
    "DeleteGroup": lambda house: {"GroupId": house.group},
    "DeleteResource": lambda house: {"ResourceId": house.room},
}
READ = ("ListAccessControlRules", "ListMobileDeviceAccessRules", "ListMobileDeviceAccessOverrides", "ListMailDomains", "ListUsers")


def _arn(house: House) -> str:
    return f"arn:aws:workmail:us-east-1:123456789012:organization/{house.id}"


def test_what_is_so_already_stays_so(gate: Gate) -> None:
    house = House(gate)
    for name, params in NATURALLY.items():
        first = house(name, **params(house))
        state = _state(house)
        assert house(name, **params(house)) == first == {}, name
        assert _state(house) == state, name


def _state(house: House) -> list[Any]:
    """Read much of an organization, but for the times of its rules."""
    answers = [house(name) for name in READ]
    about = {"EntityId": house.user}
    answers += [house("DescribeUser", UserId=house.user), house("ListAliases", **about), house("ListGroupsForEntity", **about)]
    answers += [house("ListGroups"), house("ListResources"), house("ListTagsForResource", ResourceARN=_arn(house))]
    return [_without_times(answer) for answer in answers]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(entry) for name, entry in value.items() if name != "DateModified"}
    return [_without_times(entry) for entry in value] if isinstance(value, list) else value
