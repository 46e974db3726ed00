"""What a key may not do, and what a tenant may not reach: every operation, tried with the wrong key and with another's identifiers."""

from __future__ import annotations

import json
from typing import Any

from postroom.api.model import load
from tests.api.conftest import ACCOUNT, REGION, Gate
from tests.api.test_lists import House
from tests.api.test_model import fitting

Params = dict[str, Any]
MODEL = load()
ACCOUNT_WIDE = sorted(name for name, model in MODEL.operations.items() if not model.inputs & {"OrganizationId", "ResourceARN"})
"""Operations that name no organization; IAM knows their resource as `*`."""


def policy(action: str, resource: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})


def arn(organization_id: str) -> str:
    return f"arn:aws:workmail:{REGION}:{ACCOUNT}:organization/{organization_id}"


def request(name: str, organization_id: str) -> Params:
    """Make a request that satisfies the model, about an organization if it is about any."""
    params = fitting(MODEL.operations[name].input)
    if "OrganizationId" in params:
        params["OrganizationId"] = organization_id
    if "ResourceARN" in params:
        params["ResourceARN"] = arn(organization_id)
    return params


DESTRUCTIVE = {"DeleteOrganization"}
PASSING = {"PutEmailMonitoringConfiguration", "StartMailboxExportJob"}
"""Operations that hand a role on, which takes a permission of its own."""


def test_a_key_for_one_organization_is_for_no_other(gate: Gate) -> None:
    house, other = House(gate), gate.organization_of("another")
    key = gate.issue(policy("workmail:*", arn(house.id)), "own")
    for name in sorted(MODEL.operations):
        answer = gate.call(name, request(name, other), key)
        assert (answer.status, answer.code) == (400, "AccessDeniedException"), name
        assert "is not authorized to perform" in answer.message
        if name not in ACCOUNT_WIDE and name not in DESTRUCTIVE:
            own = gate.call(name, request(name, house.id), key)
            refused = own.status == 400 and own.code == "AccessDeniedException"
            assert refused == (name in PASSING), name
            assert not refused or "iam:PassRole" in own.message


def test_a_key_for_describing_does_nothing_else(gate: Gate) -> None:
    house = House(gate)
    key = gate.issue(policy("workmail:Describe*", "*"), "describing")
    for name in sorted(MODEL.operations):
        answer = gate.call(name, request(name, house.id), key)
        allowed = answer.status == 200 or answer.code != "AccessDeniedException"
        assert allowed == name.startswith("Describe"), name


class Neighbour:
    """An organization with something of everything that has an identifier."""

    def __init__(self, gate: Gate) -> None:
        self.house = House.__new__(House)
        self.house.gate, self.house.id = gate, gate.organization_of("neighbour")
        call = self.house
        self.address = "secret@neighbour.postroom.test"
        self.user = call("CreateUser", Name="neighbour.user", DisplayName="Neighbour")["UserId"]
        self.group = call("CreateGroup", Name="neighbour.group")["GroupId"]
        self.room = call("CreateResource", Name="neighbour.room", Type="ROOM")["ResourceId"]
        call("RegisterToWorkMail", EntityId=self.user, Email=self.address)
        call("RegisterToWorkMail", EntityId=self.group, Email="group@neighbour.postroom.test")
        call("RegisterToWorkMail", EntityId=self.room, Email="room@neighbour.postroom.test")
        call("AssociateMemberToGroup", GroupId=self.group, MemberId=self.user)
        call("AssociateDelegateToResource", ResourceId=self.room, EntityId=self.user)
        call("PutMailboxPermissions", EntityId=self.room, GranteeId=self.user, PermissionValues=["FULL_ACCESS"])
        self.role = call("CreateImpersonationRole", Name="neighbour role", Type="READ_ONLY", Rules=[])["ImpersonationRoleId"]
        self.rule = call("CreateMobileDeviceAccessRule", Name="neighbour rule", Effect="DENY")["MobileDeviceAccessRuleId"]
        call("PutMobileDeviceAccessOverride", UserId=self.user, DeviceId="phone", Effect="DENY")
        call("PutRetentionPolicy", Id="neighbour-policy", Name="neighbour-policy", FolderConfigurations=[])
        call("PutAccessControlRule", Name="neighbour-rule", Effect="DENY", Description="a rule", UserIds=[self.user])

    def state(self) -> list[Params]:
        """Everything that can be read of it."""
        call = self.house
        return [
            call("DescribeUser", UserId=self.user),
            call("DescribeGroup", GroupId=self.group),
            call("DescribeResource", ResourceId=self.room),
            call("ListUsers"),
            call("ListGroups"),
            call("ListResources"),
            call("ListAliases", EntityId=self.user),
            call("ListGroupMembers", GroupId=self.group),
            call("ListResourceDelegates", ResourceId=self.room),
            call("ListMailboxPermissions", EntityId=self.room),
            call("ListMailDomains"),
            call("GetImpersonationRole", ImpersonationRoleId=self.role),
            call("ListMobileDeviceAccessRules"),
            call("ListMobileDeviceAccessOverrides"),
            call("GetDefaultRetentionPolicy"),
            call("ListAccessControlRules"),
            call("GetMailboxDetails", UserId=self.user),
        ]

    def identifiers(self, member: str) -> list[str]:
        """List what a tenant might put into a member of a request to reach this one."""
        things = [self.user, self.group, self.room, self.address, "neighbour.user", "neighbour.group", "neighbour.room"]
        return {
            "Alias": [self.address],
            "Email": [self.address],
            "DomainName": ["neighbour.postroom.test"],
            "ImpersonationRoleId": [self.role],
            "MobileDeviceAccessRuleId": [self.rule],
            "Id": ["neighbour-policy"],
            "DeviceId": ["phone"],
            "TargetUser": things[:4],
        }.get(member, things if member.endswith("Id") and member not in ("OrganizationId", "HostedZoneId") else [])


def test_a_tenant_reaches_nothing_of_another_by_any_identifier(gate: Gate) -> None:
    neighbour, house = Neighbour(gate), House(gate)
    before = neighbour.state()
    known = {neighbour.user, neighbour.group, neighbour.room, neighbour.role, neighbour.rule, "neighbour.user", "neighbour.room"}
    tried = 0
    for name, model in sorted(MODEL.operations.items()):
        if name in ACCOUNT_WIDE or name in DESTRUCTIVE:
            continue
        members = [member.name for member in model.input.members if neighbour.identifiers(member.name)]
        for member in members:
            for identifier in neighbour.identifiers(member):
                params = request(name, house.id) | {member: identifier}
                reply = gate.call(name, params)
                assert reply.status in (200, 400), (name, params, reply.body)
                if reply.status == 200:
                    assert not [text for text in known if text.encode() in reply.body], (name, params, reply.body)
                else:
                    assert reply.code in model.errors | {"ValidationException"}, (name, params, reply.body)
                tried += 1
        if members:
            assert neighbour.state() == before, name
    assert tried > 250
