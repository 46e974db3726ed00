"""Random requests, most of them sensible: the few names, addresses and ids they are made of meet each other often."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.rules.directory import PROFILE
from tests.rules.policies import ACTIONS, PROPERTIES, World

Params = dict[str, Any]
Draw = Callable[["Requests"], Params]

NAMES = ("anna", "Anna", "bert", "cleo.k", "dora", "emil", "sales", "Board", "room-1", "room-2", "beamer", "guest", "x@y.example")
TEXTS = ("", "A", "Somebody", "Über alles", "x" * 256)
LOCALS = ("anna", "ANNA", "bert", "info", "sales", "a.b", "room", "x+y", "post", "zoe")
INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
ABSENT_APPLICATION = "arn:aws:sso::123456789012:application/ssoins-0123456789abcdef/apl-0123456789abcdef"
NOBODY = "00000000-0000-4000-8000-000000000000"


class Requests:
    """Draws requests with the help of what a world knows; the seed tells which."""

    def __init__(self, world: World, seed: int, domains: tuple[str, ...]) -> None:
        self.world, self.random, self.domains = world, random.Random(seed), domains
        self.operations = list(DRAWS)
        self.weights = [DRAWS[name][0] for name in self.operations]

    def draw(self) -> tuple[str, Params]:
        """Draw an operation, in boto3's spelling, and its parameters without the organization."""
        name = self.random.choices(self.operations, self.weights)[0]
        return name, DRAWS[name][1](self)

    # What requests are made of

    def one(self, *values: Any) -> Any:
        return self.random.choice(values)

    def often(self) -> bool:
        return self.random.random() < 0.7

    def rarely(self) -> bool:
        return self.random.random() < 0.15

    def id(self, *kinds: str) -> str:
        known = [one.id for one in self.world.entities.values() if not kinds or one.kind in kinds]
        return self.random.choice(known) if known and not self.rarely() else self.one(NOBODY, *self.world.entities)

    def reference(self, *kinds: str) -> str:
        found = self.world.entities.get(self.id(*kinds))
        if found is None:
            return NOBODY
        names = [found.id, found.name, found.name.upper(), *(found.aliases.values())]
        return self.one(*(name for name in names if " " not in name))

    def name(self) -> str:
        return self.one(*NAMES) if self.often() else f"{self.one(*NAMES)[:6].strip('@')}{self.random.randrange(30)}"

    def address(self) -> str:
        domain = self.one(*self.domains) if self.rarely() else self.domains[0]
        return f"{self.one(*LOCALS)}{self.one('', '', '1', '2', '3')}@{domain}"

    def some(self, **choices: Any) -> Params:
        """Take some of these members; callables are drawn from."""
        taken = {name: choice for name, choice in choices.items() if self.random.random() < 0.3}
        return {name: choice() if callable(choice) else choice for name, choice in taken.items()}

    def boolean(self) -> bool:
        return self.random.random() < 0.5

    def text(self) -> str:
        return str(self.one(*TEXTS))

    def profile(self) -> Params:
        return self.some(**dict.fromkeys(self.random.sample(PROFILE, 2), self.text))

    def filters(self, **columns: Callable[[], str]) -> Params:
        names = self.random.sample(list(columns), min(len(columns), self.one(0, 1, 1, 1, 2)))
        return {"Filters": {name: columns[name]() for name in names}} if names else {}

    def users(self) -> list[str]:
        return [self.id("USER") for _ in range(self.one(1, 1, 2))]

    def role(self) -> str:
        return str(self.one(*self.world.roles, *(["absent"] if self.rarely() or not self.world.roles else [])))

    def role_rules(self) -> list[Params]:
        return [
            {"ImpersonationRuleId": self.one("a", "b", "c", "d"), "Effect": self.effect()}
            | self.some(Name="a rule", TargetUsers=lambda: [self.reference("USER")], NotTargetUsers=lambda: [self.reference("USER")])
            for _ in range(self.one(0, 1, 1, 2))
        ]

    def effect(self) -> str:
        return str(self.one("ALLOW", "ALLOW", "DENY"))

    def device_rule(self) -> Params:
        names = [*(f"{name}s" for name in PROPERTIES), *(f"Not{name}s" for name in PROPERTIES)]
        conditions = self.random.sample(names, self.one(0, 1, 1, 2))
        asked = {name: [self.one("iPhone", "IPAD", "a", "$NONE") for _ in range(self.one(1, 2))] for name in conditions}
        return {"Name": self.one("phones", "tablets"), "Effect": self.effect()} | self.some(Description="a rule") | asked

    def device(self) -> str:
        return str(self.one("phone1", "PHONE1", "tab2", "watch3"))

    def folder(self) -> Params:
        action = self.one("NONE", "DELETE", "PERMANENTLY_DELETE")
        period = {} if self.rarely() else {"Period": self.random.randrange(1, 731)}
        return {"Name": self.one("INBOX", "DELETED_ITEMS", "SENT_ITEMS", "DRAFTS", "JUNK_EMAIL"), "Action": action} | period

    def provider(self) -> Params:
        function = {"LambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:availability"}
        scheme = self.one("https", "https", "https", "http")
        ews = {"EwsEndpoint": f"{scheme}://ews.example/EWS/Exchange.asmx", "EwsUsername": "us", "EwsPassword": "Secret-4711"}
        both: Params = {"LambdaProvider": function, "EwsProvider": ews}
        return {name: both[name] for name in self.one(["LambdaProvider"], ["EwsProvider"], ["EwsProvider"], [], list(both))}

    def application(self) -> str:
        return str(self.one(*sorted(self.world.applications), ABSENT_APPLICATION))

    def prefix(self) -> str:
        return self.name()[: self.one(1, 2, 3)]

    def state(self) -> str:
        return str(self.one("ENABLED", "DISABLED", "DELETED"))


def _entity_filters(draw: Requests, name: str) -> Params:
    return draw.filters(**{name: draw.prefix, "PrimaryEmailPrefix": lambda: draw.address()[: draw.one(1, 3, 20)], "State": draw.state})


def _address_in(draw: Requests) -> str:
    return f"{draw.one('192.0.2', '198.51.100', '10.1.2')}.{draw.random.randrange(256)}"


def _range(draw: Requests) -> list[str]:
    return [f"{_address_in(draw)}/{draw.one(0, 8, 24, 25, 32)}"]


def _remote(draw: Requests) -> str:
    return str(draw.one("remote.example", "Remote.example", "far.example", "example.test"))


DRAWS: dict[str, tuple[int, Draw]] = {
    "create_user": (
        6,
        lambda d: (
            {"Name": d.name(), "DisplayName": d.text()}
            | d.some(Role=d.one("USER", "USER", "REMOTE_USER", "SYSTEM_USER"), HiddenFromGlobalAddressList=d.boolean)
            | {name: value for name, value in d.profile().items() if name in ("FirstName", "LastName")}
        ),
    ),
    "update_user": (
        3,
        lambda d: (
            {"UserId": d.reference("USER")}
            | d.some(Role=d.one("USER", "REMOTE_USER", "RESOURCE"), DisplayName=d.text, HiddenFromGlobalAddressList=d.boolean)
            | d.profile()
        ),
    ),
    "describe_user": (6, lambda d: {"UserId": d.reference("USER")}),
    "list_users": (
        2,
        lambda d: d.filters(
            UsernamePrefix=d.prefix,
            DisplayNamePrefix=lambda: d.text()[:3] or "s",
            PrimaryEmailPrefix=lambda: d.address()[:2],
            State=d.state,
        ),
    ),
    "delete_user": (3, lambda d: {"UserId": d.reference("USER")}),
    "create_group": (3, lambda d: {"Name": d.name()} | d.some(HiddenFromGlobalAddressList=d.boolean)),
    "update_group": (1, lambda d: {"GroupId": d.reference("GROUP")} | d.some(HiddenFromGlobalAddressList=d.boolean)),
    "describe_group": (3, lambda d: {"GroupId": d.reference("GROUP")}),
    "list_groups": (2, lambda d: _entity_filters(d, "NamePrefix")),
    "delete_group": (2, lambda d: {"GroupId": d.reference("GROUP")}),
    "associate_member_to_group": (5, lambda d: {"GroupId": d.reference("GROUP"), "MemberId": d.reference()}),
    "disassociate_member_from_group": (2, lambda d: {"GroupId": d.reference("GROUP"), "MemberId": d.reference()}),
    "list_group_members": (3, lambda d: {"GroupId": d.reference("GROUP")}),
    "list_groups_for_entity": (2, lambda d: {"EntityId": d.reference()} | d.filters(GroupNamePrefix=d.prefix)),
    "create_resource": (
        3,
        lambda d: (
            {"Name": d.name()[:20], "Type": d.one("ROOM", "EQUIPMENT")}
            | d.some(Description=lambda: d.text()[:60] or "-", HiddenFromGlobalAddressList=d.boolean)
        ),
    ),
    "update_resource": (
        3,
        lambda d: (
            {"ResourceId": d.reference("RESOURCE")}
            | d.some(
                Name=lambda: d.name()[:20],
                Type=d.one("ROOM", "EQUIPMENT"),
                Description=lambda: d.text()[:60],
                HiddenFromGlobalAddressList=d.boolean,
                BookingOptions=lambda: {"AutoAcceptRequests": d.boolean(), "AutoDeclineConflictingRequests": d.boolean()},
            )
        ),
    ),
    "describe_resource": (3, lambda d: {"ResourceId": d.reference("RESOURCE")}),
    "list_resources": (2, lambda d: _entity_filters(d, "NamePrefix")),
    "delete_resource": (2, lambda d: {"ResourceId": d.reference("RESOURCE")}),
    "associate_delegate_to_resource": (2, lambda d: {"ResourceId": d.reference("RESOURCE"), "EntityId": d.reference()}),
    "disassociate_delegate_from_resource": (2, lambda d: {"ResourceId": d.reference("RESOURCE"), "EntityId": d.reference()}),
    "list_resource_delegates": (2, lambda d: {"ResourceId": d.reference("RESOURCE")}),
    "register_to_work_mail": (8, lambda d: {"EntityId": d.reference(), "Email": d.address()}),
    "deregister_from_work_mail": (4, lambda d: {"EntityId": d.reference()}),
    "describe_entity": (2, lambda d: {"Email": d.address()}),
    "create_alias": (6, lambda d: {"EntityId": d.id(), "Alias": d.address()}),
    "delete_alias": (3, lambda d: {"EntityId": d.id(), "Alias": d.address()}),
    "list_aliases": (3, lambda d: {"EntityId": d.id()}),
    "update_primary_email_address": (3, lambda d: {"EntityId": d.reference(), "Email": d.address()}),
    "register_mail_domain": (1, lambda d: {"DomainName": d.one(*d.domains, "New.example", "a.postroom.test")}),
    "deregister_mail_domain": (1, lambda d: {"DomainName": d.one(*d.domains, "new.example")}),
    "list_mail_domains": (1, lambda d: {}),
    "update_default_mail_domain": (1, lambda d: {"DomainName": d.one(*d.domains)}),
    "tag_resource": (1, lambda d: {"Tags": [{"Key": d.one("a", "b", "aws:c", "D"), "Value": d.text()} for _ in range(d.one(1, 1, 2))]}),
    "untag_resource": (1, lambda d: {"TagKeys": [d.one("a", "b", "D")]}),
    "list_tags_for_resource": (1, lambda d: {}),
    "update_mailbox_quota": (1, lambda d: {"UserId": d.reference(), "MailboxQuota": d.random.randrange(1, 51200)}),
    "get_mailbox_details": (2, lambda d: {"UserId": d.reference()}),
    "put_mailbox_permissions": (
        6,
        lambda d: {
            "EntityId": d.reference(),
            "GranteeId": d.reference(),
            "PermissionValues": d.random.choices(["FULL_ACCESS", "SEND_AS", "SEND_ON_BEHALF"], k=d.one(0, 1, 1, 2, 3)),
        },
    ),
    "delete_mailbox_permissions": (2, lambda d: {"EntityId": d.reference(), "GranteeId": d.reference()}),
    "list_mailbox_permissions": (4, lambda d: {"EntityId": d.reference()}),
    "put_access_control_rule": (
        4,
        lambda d: (
            {"Name": d.one("default", "office", "one", "two"), "Effect": d.effect(), "Description": "a rule"}
            | d.some(
                IpRanges=lambda: _range(d),
                NotIpRanges=lambda: _range(d),
                Actions=lambda: [d.one(*sorted(ACTIONS), "POP") for _ in range(d.one(1, 2, 4))],
                NotActions=lambda: [d.one(*sorted(ACTIONS))],
                UserIds=d.users,
                NotUserIds=d.users,
                ImpersonationRoleIds=lambda: [d.role()],
            )
        ),
    ),
    "delete_access_control_rule": (2, lambda d: {"Name": d.one("default", "office", "one", "two", "three")}),
    "list_access_control_rules": (2, lambda d: {}),
    "get_access_control_effect": (
        8,
        lambda d: (
            {"IpAddress": _address_in(d), "Action": d.one("EWS", *sorted(ACTIONS), "POP")}
            | (d.some(ImpersonationRoleId=d.role) or {"UserId": d.id("USER")})
        ),
    ),
    "create_mobile_device_access_rule": (2, lambda d: d.device_rule()),
    "update_mobile_device_access_rule": (
        2,
        lambda d: {"MobileDeviceAccessRuleId": d.one(*d.world.device_rules, "absent")} | d.device_rule(),
    ),
    "delete_mobile_device_access_rule": (2, lambda d: {"MobileDeviceAccessRuleId": d.one(*d.world.device_rules, "absent")}),
    "list_mobile_device_access_rules": (1, lambda d: {}),
    "get_mobile_device_access_effect": (
        6,
        lambda d: d.some(**{name: d.one("iPhone 15", "ipad", "Android", "a") for name in PROPERTIES}),
    ),
    "put_mobile_device_access_override": (
        3,
        lambda d: {"UserId": d.reference("USER"), "DeviceId": d.device(), "Effect": d.effect()} | d.some(Description="lost"),
    ),
    "get_mobile_device_access_override": (2, lambda d: {"UserId": d.reference("USER"), "DeviceId": d.device()}),
    "delete_mobile_device_access_override": (1, lambda d: {"UserId": d.reference("USER"), "DeviceId": d.device()}),
    "list_mobile_device_access_overrides": (2, lambda d: d.some(UserId=lambda: d.reference("USER"), DeviceId=d.device)),
    "create_impersonation_role": (
        2,
        lambda d: {"Name": "auditor", "Type": d.one("FULL_ACCESS", "READ_ONLY"), "Rules": d.role_rules()} | d.some(Description="a role"),
    ),
    "update_impersonation_role": (
        2,
        lambda d: {"ImpersonationRoleId": d.role(), "Name": "keeper", "Type": "READ_ONLY", "Rules": d.role_rules()},
    ),
    "delete_impersonation_role": (1, lambda d: {"ImpersonationRoleId": d.role()}),
    "get_impersonation_role": (2, lambda d: {"ImpersonationRoleId": d.role()}),
    "list_impersonation_roles": (1, lambda d: {}),
    "get_impersonation_role_effect": (4, lambda d: {"ImpersonationRoleId": d.role(), "TargetUser": d.reference("USER")}),
    "assume_impersonation_role": (1, lambda d: {"ImpersonationRoleId": d.role()}),
    "put_retention_policy": (
        2,
        lambda d: (
            {"Name": d.one("default", "other"), "FolderConfigurations": [d.folder() for _ in range(d.one(0, 1, 2, 2))]}
            | d.some(Id=lambda: d.one("policy-1", "policy-2"), Description="a policy")
        ),
    ),
    "get_default_retention_policy": (2, lambda d: {}),
    "delete_retention_policy": (1, lambda d: {"Id": d.world.retention.get("Id", "none").replace(" ", "-")}),
    "put_inbound_dmarc_settings": (1, lambda d: {"Enforced": d.boolean()}),
    "describe_inbound_dmarc_settings": (1, lambda d: {}),
    "put_email_monitoring_configuration": (
        1,
        lambda d: (
            {"LogGroupArn": f"arn:aws:logs:us-east-1:000000000000:log-group:{d.one('a', 'b')}:*"}
            | d.some(RoleArn="arn:aws:iam::000000000000:role/events")
        ),
    ),
    "describe_email_monitoring_configuration": (1, lambda d: {}),
    "delete_email_monitoring_configuration": (1, lambda d: {}),
    "create_availability_configuration": (2, lambda d: {"DomainName": _remote(d)} | d.provider()),
    "update_availability_configuration": (1, lambda d: {"DomainName": _remote(d)} | d.provider()),
    "delete_availability_configuration": (1, lambda d: {"DomainName": _remote(d)}),
    "list_availability_configurations": (1, lambda d: {}),
    "create_identity_center_application": (1, lambda d: {"Name": "mail", "InstanceArn": INSTANCE}),
    "delete_identity_center_application": (1, lambda d: {"ApplicationArn": d.application()}),
    "put_identity_provider_configuration": (
        1,
        lambda d: {
            "AuthenticationMode": d.one("IDENTITY_PROVIDER_ONLY", "IDENTITY_PROVIDER_AND_DIRECTORY"),
            "IdentityCenterConfiguration": {"InstanceArn": INSTANCE, "ApplicationArn": d.application()},
            "PersonalAccessTokenConfiguration": {"Status": d.one("ACTIVE", "INACTIVE")} | d.some(LifetimeInDays=30),
        },
    ),
    "describe_identity_provider_configuration": (1, lambda d: {}),
    "delete_identity_provider_configuration": (1, lambda d: {}),
}
"""Operations by how often they are drawn and what draws them."""
