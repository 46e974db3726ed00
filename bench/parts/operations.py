"""Every operation of the WorkMail API in a small and in a large directory: requests a second, and the time of the slowest in a hundred.

Nothing may grow with the organization but what it returns; so both columns are ours, and the ratio is what the large directory costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import figures, http_load, ours, population
from bench.plan import Plan

Params = dict[str, Any]
FEW, MANY = 10, 100_000
RULES = [
    f"an organization of {FEW} users beside one of {MANY:,}; 8 connections from 2 processes, one request in flight on each",
    "each request has a signature of its own, made beforehand; answers to writes come after the fsync",
    "seconds are the 99th percentile of the answers under that load",
]
PASSWORD = "Bench-mark-4711"


@dataclass
class Town:
    """A running server with what requests are about; `count` is how many requests a case may prepare."""

    server: ours.Postroom
    count: int
    users: list[dict[str, str]] = field(default_factory=list)
    group: str = ""
    room: str = ""
    rule: str = ""
    role: str = ""
    application: str = ""

    def each(self, operation: str, member: str, parameters: Sequence[Params]) -> list[str]:
        """Call an operation for each set of parameters, not timed; give one member of each answer."""
        return [answer[member] for answer in self.server.call(operation, parameters)]

    def settle(self) -> None:
        """Make what the reading cases read."""
        call = self.server.call
        self.users = self.server.add_users("citizen", 10)
        (self.rule,) = self.each("CreateMobileDeviceAccessRule", "MobileDeviceAccessRuleId", [DEVICE])
        (self.role,) = self.each("CreateImpersonationRole", "ImpersonationRoleId", [ROLE])
        (self.application,) = self.each("CreateIdentityCenterApplication", "ApplicationArn", [{"Name": "bench", "InstanceArn": INSTANCE}])
        (self.group,) = self.each("CreateGroup", "GroupId", [{"Name": "citizens"}])
        (self.room,) = self.each("CreateResource", "ResourceId", [{"Name": "town.hall", "Type": "ROOM"}])
        domain = self.server.ready["domain"]
        call(
            "RegisterToWorkMail",
            [{"EntityId": self.group, "Email": f"citizens@{domain}"}, {"EntityId": self.room, "Email": f"hall@{domain}"}],
        )
        call("AssociateMemberToGroup", [{"GroupId": self.group, "MemberId": user["UserId"]} for user in self.users])
        call("AssociateDelegateToResource", [{"ResourceId": self.room, "EntityId": self.users[0]["UserId"]}])

    @property
    def user(self) -> str:
        """Name one user by id."""
        return self.users[0]["UserId"]

    def fresh(self, prefix: str) -> list[str]:
        """Name things that are not there yet."""
        return [f"{prefix}{number:05d}" for number in range(self.count)]

    def fresh_users(self, prefix: str, *, registered: bool = False) -> list[str]:
        """Make users to be used up; give their ids."""
        made = self.each("CreateUser", "UserId", [{"Name": name, "DisplayName": name} for name in self.fresh(prefix)])
        if registered:
            domain = self.server.ready["domain"]
            pairs = [{"EntityId": user, "Email": f"{name}@{domain}"} for user, name in zip(made, self.fresh(prefix), strict=True)]
            self.server.call("RegisterToWorkMail", pairs)
        return made


Case = Callable[[Town], list[Params]]
"""Gives the parameters of the requests of a case."""


def same(**params: Any) -> Case:
    """Repeat one request; a callable value is asked with the town."""
    return lambda town: [{name: value(town) if callable(value) else value for name, value in params.items()}] * town.count


def user(town: Town) -> str:
    return town.user


def group(town: Town) -> str:
    return town.group


def room(town: Town) -> str:
    return town.room


def domain(town: Town) -> str:
    return str(town.server.ready["domain"])


def _named(operation: str, prefix: str, member: str = "Name", **params: Any) -> Case:
    return lambda town: [{member: name, **params} for name in town.fresh(f"{operation.lower()}.{prefix}")]


def _used_up(operation: str, member: str, *, registered: bool = False, **params: Any) -> Case:
    """Ask for something once of each of many users made for it."""
    return lambda town: [{member: made, **params} for made in town.fresh_users(operation.lower()[:20], registered=registered)]


def _addressed(operation: str, *, registered: bool, member: str = "Email") -> Case:
    """Give each of many users made for it an address that is new."""

    def case(town: Town) -> list[Params]:
        users = town.fresh_users(operation.lower()[:12], registered=registered)
        addresses = [f"{name}@{domain(town)}" for name in town.fresh(f"{operation.lower()[:12]}.new")]
        return [{"EntityId": one, member: address} for one, address in zip(users, addresses, strict=True)]

    return case


def _each_of(operation: str, member: str, answer: str, parameters: Callable[[Town], list[Params]], **params: Any) -> Case:
    """Make many things with one operation, to be asked for one by one."""
    return lambda town: [{member: made, **params} for made in town.each(operation, answer, parameters(town))]


def _after(operation: str, parameters: Callable[[Town], Params], case: Case) -> Case:
    """Do something once before a case."""

    def prepared(town: Town) -> list[Params]:
        town.server.call(operation, [parameters(town)])
        return case(town)

    return prepared


def _arn(town: Town) -> str:
    return f"arn:aws:workmail:{town.server.ready['region']}:000000000000:organization/{town.server.ready['organization_id']}"


INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
LOG_GROUP = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/workmail/emailevents/bench:*"


def _identity(town: Town) -> Params:
    return {
        "AuthenticationMode": "IDENTITY_PROVIDER_AND_DIRECTORY",
        "IdentityCenterConfiguration": {"InstanceArn": INSTANCE, "ApplicationArn": town.application},
        "PersonalAccessTokenConfiguration": {"Status": "ACTIVE", "LifetimeInDays": 30},
    }


EWS = {"EwsEndpoint": "https://ews.example/EWS/Exchange.asmx", "EwsUsername": "reader", "EwsPassword": PASSWORD}
POLICY = {"Name": "default", "Id": "bench", "FolderConfigurations": [{"Name": "DELETED_ITEMS", "Action": "DELETE", "Period": 30}]}
DEVICE = {"Name": "phones", "Effect": "ALLOW", "DeviceTypes": ["iPhone"]}
ROLE = {"Name": "auditor", "Type": "READ_ONLY", "Rules": [{"ImpersonationRuleId": "all", "Effect": "ALLOW"}]}
RULE = {"Name": "bench", "Effect": "ALLOW", "Description": "a rule", "IpRanges": ["192.0.2.0/24"]}
FILTERED = {"Filters": {"UsernamePrefix": "citizen"}}

CASES: dict[str, Case] = {
    "AssociateDelegateToResource": same(ResourceId=room, EntityId=lambda town: town.users[1]["UserId"]),
    "AssociateMemberToGroup": same(GroupId=group, MemberId=user),
    "AssumeImpersonationRole": same(ImpersonationRoleId=lambda town: town.role),
    "CreateAlias": _addressed("CreateAlias", registered=True, member="Alias"),
    "CreateGroup": _named("CreateGroup", "g"),
    "CreateResource": lambda town: [{"Name": f"cr.{name}", "Type": "ROOM"} for name in town.fresh("r")],
    "CreateUser": _named("CreateUser", "u", DisplayName="Somebody"),
    "DeleteAccessControlRule": same(Name="absent"),
    "DeleteAlias": lambda town: [{"EntityId": town.user, "Alias": f"{name}@{domain(town)}"} for name in town.fresh("gone")],
    "DeleteAvailabilityConfiguration": same(DomainName="absent.example"),
    "DeleteEmailMonitoringConfiguration": same(),
    "DeleteGroup": _each_of("CreateGroup", "GroupId", "GroupId", lambda town: [{"Name": name} for name in town.fresh("dg")]),
    "DeleteIdentityProviderConfiguration": same(),
    "DeleteImpersonationRole": same(ImpersonationRoleId="absent"),
    "DeleteMailboxPermissions": same(EntityId=user, GranteeId=lambda town: town.users[3]["UserId"]),
    "DeleteMobileDeviceAccessOverride": same(UserId=user, DeviceId="absent"),
    "DeleteMobileDeviceAccessRule": same(MobileDeviceAccessRuleId="absent"),
    "DeletePersonalAccessToken": same(PersonalAccessTokenId="absent"),
    "DeleteResource": _each_of(
        "CreateResource", "ResourceId", "ResourceId", lambda town: [{"Name": f"dr.{name}", "Type": "ROOM"} for name in town.fresh("r")]
    ),
    "DeleteRetentionPolicy": same(Id="absent"),
    "DeleteUser": _used_up("DeleteUser", "UserId"),
    "DeregisterFromWorkMail": _used_up("DeregisterFromWorkMail", "EntityId", registered=True),
    "DeregisterMailDomain": same(DomainName="absent.example"),
    "DescribeEmailMonitoringConfiguration": _after("PutEmailMonitoringConfiguration", lambda town: {"LogGroupArn": LOG_GROUP}, same()),
    "DescribeEntity": same(Email=lambda town: town.users[0]["Email"]),
    "DescribeGroup": same(GroupId=group),
    "DescribeIdentityProviderConfiguration": _after("PutIdentityProviderConfiguration", _identity, same()),
    "DescribeInboundDmarcSettings": same(),
    "DescribeOrganization": same(),
    "DescribeResource": same(ResourceId=room),
    "DescribeUser": same(UserId=user),
    "DisassociateDelegateFromResource": same(ResourceId=room, EntityId=lambda town: town.users[2]["UserId"]),
    "DisassociateMemberFromGroup": same(GroupId=group, MemberId=lambda town: town.users[9]["UserId"]),
    "GetAccessControlEffect": same(IpAddress="192.0.2.1", Action="IMAP", UserId=user),
    "GetDefaultRetentionPolicy": _after("PutRetentionPolicy", lambda town: POLICY, same()),
    "GetImpersonationRole": same(ImpersonationRoleId=lambda town: town.role),
    "GetImpersonationRoleEffect": same(ImpersonationRoleId=lambda town: town.role, TargetUser=user),
    "GetMailDomain": same(DomainName=domain),
    "GetMailboxDetails": same(UserId=user),
    "GetMobileDeviceAccessEffect": same(DeviceType="iPhone", DeviceModel="iPhone15"),
    "GetMobileDeviceAccessOverride": _after(
        "PutMobileDeviceAccessOverride",
        lambda town: {"UserId": town.user, "DeviceId": "phone1", "Effect": "ALLOW"},
        same(UserId=user, DeviceId="phone1"),
    ),
    "ListAccessControlRules": same(),
    "ListAliases": same(EntityId=user),
    "ListAvailabilityConfigurations": same(),
    "ListGroupMembers": same(GroupId=group),
    "ListGroups": same(MaxResults=10),
    "ListGroupsForEntity": same(EntityId=user),
    "ListImpersonationRoles": same(),
    "ListMailDomains": same(),
    "ListMailboxExportJobs": same(),
    "ListMailboxPermissions": same(EntityId=user),
    "ListMobileDeviceAccessOverrides": same(UserId=user),
    "ListMobileDeviceAccessRules": same(),
    "ListOrganizations": same(),
    "ListPersonalAccessTokens": same(UserId=user),
    "ListResourceDelegates": same(ResourceId=room),
    "ListResources": same(MaxResults=10),
    "ListTagsForResource": same(ResourceARN=_arn),
    "ListUsers": same(MaxResults=10),
    "ListUsers, filtered": same(MaxResults=10, **FILTERED),
    "PutAccessControlRule": same(**RULE),
    "PutEmailMonitoringConfiguration": same(LogGroupArn=LOG_GROUP),
    "PutIdentityProviderConfiguration": lambda town: [_identity(town)] * town.count,
    "PutInboundDmarcSettings": same(Enforced=True),
    "PutMailboxPermissions": same(
        EntityId=user, GranteeId=lambda town: town.users[2]["UserId"], PermissionValues=["FULL_ACCESS", "SEND_AS"]
    ),
    "PutMobileDeviceAccessOverride": same(UserId=user, DeviceId="phone1", Effect="ALLOW"),
    "PutRetentionPolicy": same(**POLICY),
    "RegisterMailDomain": same(DomainName="pending.example"),
    "RegisterToWorkMail": _addressed("RegisterToWorkMail", registered=False),
    "ResetPassword": same(UserId=lambda town: town.users[4]["UserId"], Password=PASSWORD),
    "TagResource": same(ResourceARN=_arn, Tags=[{"Key": "stage", "Value": "bench"}]),
    "UntagResource": same(ResourceARN=_arn, TagKeys=["absent"]),
    "UpdateAvailabilityConfiguration": _after(
        "CreateAvailabilityConfiguration",
        lambda town: {"DomainName": "remote.example", "EwsProvider": EWS, "ClientToken": "bench"},
        same(DomainName="remote.example", EwsProvider=EWS),
    ),
    "UpdateDefaultMailDomain": same(DomainName=domain),
    "UpdateGroup": same(GroupId=group, HiddenFromGlobalAddressList=False),
    "UpdateImpersonationRole": same(ImpersonationRoleId=lambda town: town.role, **ROLE),
    "UpdateMailboxQuota": same(UserId=user, MailboxQuota=1000),
    "UpdateMobileDeviceAccessRule": same(MobileDeviceAccessRuleId=lambda town: town.rule, **DEVICE),
    "UpdatePrimaryEmailAddress": _addressed("UpdatePrimaryEmailAddress", registered=True),
    "UpdateResource": same(ResourceId=room, Description="the hall"),
    "UpdateUser": same(UserId=user, JobTitle="mayor"),
}
ELSEWHERE = {
    "CancelMailboxExportJob": "ten jobs an organization are the most",
    "CreateAvailabilityConfiguration": "bounded in number",
    "CreateIdentityCenterApplication": "about no organization",
    "CreateImpersonationRole": "bounded in number",
    "CreateMobileDeviceAccessRule": "bounded in number",
    "CreateOrganization": "makes a directory, rather than work in one",
    "DeleteIdentityCenterApplication": "about no organization",
    "DeleteOrganization": "takes the directory away",
    "DescribeMailboxExportJob": "ten jobs an organization are the most",
    "GetPersonalAccessTokenMetadata": "tokens are not made through the API",
    "StartMailboxExportJob": "ten jobs an organization are the most",
    "TestAvailabilityConfiguration": "waits for another server",
}
"""Operations that are not measured, and why."""


def measure(plan: Plan) -> figures.Part:
    """Measure every operation at both sizes."""
    part = figures.Part("WorkMail API by operation", f"the same at {FEW} users", list(RULES))
    part.skipped.append("; ".join(f"{name} ({reason})" for name, reason in ELSEWHERE.items()))
    if not plan.ours:
        return part
    many = plan.amount(MANY, 5_000)
    folders = [plan.folder / "village", plan.folder / "city"]
    for folder, total in zip(folders, (0, many), strict=True):
        with ours.running(folder):
            pass  # it makes the demo organization
        population.fill(folder, total)
    with ours.running(folders[0]) as small, ours.running(folders[1]) as large:
        towns = [Town(server, plan.amount(400, 60)) for server in (small, large)]
        for town in towns:
            town.settle()
        for name, case in CASES.items():
            outcomes = [_run(town, name, case, plan.amount(1, 0)) for town in towns]
            rates = [(outcome.rate,) for outcome in outcomes]
            times = [(outcome.p99,) for outcome in outcomes]
            part.figures.append(figures.Figure(name, "/s", rates[1], rates[0], note=f"Postroom at {many:,} users"))
            part.figures.append(figures.Figure(f"{name}, p99", "s", times[1], times[0]))
    return part


def _run(town: Town, name: str, case: Case, seconds: float) -> http_load.Outcome:
    operation = name.partition(",")[0]
    parameters = case(town)
    requests = [town.server.request(operation, shift=number % 240 - 120, **params) for number, params in enumerate(parameters)]
    repeatable = all(params == parameters[0] for params in parameters)
    return http_load.run(town.server.target, requests, seconds=seconds if repeatable and seconds else None, connections=8)
