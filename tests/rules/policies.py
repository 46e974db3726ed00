"""What WorkMail's policies mean, said again in memory: who may do what, how long mail is kept, who is asked and told."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

from tests.rules.directory import TIME, Answer, Directory, Entity, Fault

ACTIONS = {"ActiveSync", "AutoDiscover", "EWS", "IMAP", "SMTP", "WindowsOutlook", "WebMail"}
DATES = {"DateCreated": TIME, "DateModified": TIME}
PROPERTIES = ("DeviceType", "DeviceModel", "DeviceOperatingSystem", "DeviceUserAgent")
MOST_RULES = 10
MOST_ROLES = 20


def winners(rules: Collection[Mapping[str, Any]], hits: Collection[bool]) -> tuple[str, list[Mapping[str, Any]]]:
    """Deny beats allow, nothing is denied: the effect, and the rules that have it."""
    matched = [rule for rule, hit in zip(rules, hits, strict=True) if hit]
    denying = [rule for rule in matched if rule["Effect"] == "DENY"]
    return ("DENY", denying) if denying else ("ALLOW" if matched else "DENY", matched)


class World(Directory):
    """An organization with its policies."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.grants: dict[tuple[str, str], list[str]] = {}
        default = {"Name": "default", "Effect": "ALLOW", "Description": "Default WorkMail Rule"}
        self.access_rules: dict[str, Answer] = {"default": default}
        self.device_rules: dict[str, Answer] = {"default": {"MobileDeviceAccessRuleId": "default"} | default}
        self.overrides: dict[tuple[str, str], Answer] = {}
        self.roles: dict[str, Answer] = {}
        self.retention: Answer = {}
        self.enforced = True
        self.monitoring: Answer = {}
        self.availability: dict[str, Answer] = {}
        self.applications: set[str] = set()
        self.identity: Answer = {}

    def _deleted(self, entity: Entity) -> None:
        self.grants = {pair: values for pair, values in self.grants.items() if entity.id not in pair}
        self.overrides = {key: one for key, one in self.overrides.items() if key[0] != entity.id}

    def enabled_user(self, reference: str) -> Entity:
        user = self.get(reference, "USER")
        if not user.enabled:
            raise Fault("EntityState")
        return user

    # Mailbox permissions

    def put_mailbox_permissions(self, made: Answer, EntityId: str, GranteeId: str, PermissionValues: list[str]) -> Answer:
        owner, grantee = self.get(EntityId), self.get(GranteeId)
        if not owner.enabled or not grantee.enabled:
            raise Fault("EntityState")
        if owner is grantee:
            raise Fault("InvalidParameter")
        if "FULL_ACCESS" in PermissionValues and (grantee.kind != "USER" or not self._has_mailbox(owner)):
            raise Fault("InvalidParameter")
        self.grants.pop((owner.id, grantee.id), None)
        if PermissionValues:
            self.grants[owner.id, grantee.id] = sorted(set(PermissionValues))
        return {}

    def delete_mailbox_permissions(self, made: Answer, EntityId: str, GranteeId: str) -> Answer:
        owner, grantee = self.get(EntityId), self.get(GranteeId)
        self.grants.pop((owner.id, grantee.id), None)
        return {}

    def list_mailbox_permissions(self, made: Answer, EntityId: str) -> Answer:
        owner = self.get(EntityId)
        return {
            "Permissions": [
                {"GranteeId": grantee, "GranteeType": self.entities[grantee].kind, "PermissionValues": values}
                for (one, grantee), values in self.grants.items()
                if one == owner.id
            ]
        }

    # Access control rules

    def put_access_control_rule(self, made: Answer, Name: str, Effect: str, Description: str, **asked: list[str]) -> Answer:
        if not ACTIONS.issuperset(asked.get("Actions", []) + asked.get("NotActions", [])):
            raise Fault("InvalidParameter")
        for role in asked.get("ImpersonationRoleIds", []) + asked.get("NotImpersonationRoleIds", []):
            if role not in self.roles:
                raise Fault("ResourceNotFound")
        for member in ("UserIds", "NotUserIds"):
            if member in asked:
                asked[member] = list(dict.fromkeys(self.get(user, "USER").id for user in asked[member]))
        if len(self.access_rules.keys() - {Name}) >= MOST_RULES:
            raise Fault("LimitExceeded")
        rule = {"Name": Name, "Effect": Effect, "Description": Description} | {member: values for member, values in asked.items() if values}
        self.access_rules[Name] = rule
        return {}

    def delete_access_control_rule(self, made: Answer, Name: str) -> Answer:
        self.access_rules.pop(Name, None)
        return {}

    def list_access_control_rules(self, made: Answer) -> Answer:
        return {"Rules": [rule | DATES for rule in self.access_rules.values()]}

    def get_access_control_effect(
        self, made: Answer, IpAddress: str, Action: str, UserId: str | None = None, ImpersonationRoleId: str | None = None
    ) -> Answer:
        if Action not in ACTIONS or (UserId is None) == (ImpersonationRoleId is None):
            raise Fault("InvalidParameter")
        if ImpersonationRoleId is not None:
            if Action != "EWS":
                raise Fault("InvalidParameter")
            if ImpersonationRoleId not in self.roles:
                raise Fault("ResourceNotFound")
        said = {
            "Actions": Action,
            "UserIds": self.get(UserId, "USER").id if UserId is not None else "",
            "ImpersonationRoleIds": ImpersonationRoleId or "",
        }
        rules = list(self.access_rules.values())
        effect, matched = winners(rules, [self._applies(rule, said, IpAddress) for rule in rules])
        return {"Effect": effect, "MatchedRules": [rule["Name"] for rule in matched]}

    def _applies(self, rule: Answer, said: dict[str, str], address: str) -> bool:
        listed = all(rule.get(member, [value]).count(value) and value not in rule.get(f"Not{member}", []) for member, value in said.items())
        return listed and _inside(address, rule.get("IpRanges", ["0.0.0.0/0"])) and not _inside(address, rule.get("NotIpRanges", []))

    # Mobile devices

    def create_mobile_device_access_rule(self, made: Answer, **rule: Any) -> Answer:
        if len(self.device_rules) >= MOST_RULES:
            raise Fault("LimitExceeded")
        given = {"MobileDeviceAccessRuleId": made.get("MobileDeviceAccessRuleId", "")}
        self.device_rules[given["MobileDeviceAccessRuleId"]] = given | rule
        return given

    def update_mobile_device_access_rule(self, made: Answer, MobileDeviceAccessRuleId: str, **rule: Any) -> Answer:
        if MobileDeviceAccessRuleId not in self.device_rules:
            raise Fault("EntityNotFound")
        self.device_rules[MobileDeviceAccessRuleId] = {"MobileDeviceAccessRuleId": MobileDeviceAccessRuleId} | rule
        return {}

    def delete_mobile_device_access_rule(self, made: Answer, MobileDeviceAccessRuleId: str) -> Answer:
        self.device_rules.pop(MobileDeviceAccessRuleId, None)
        return {}

    def list_mobile_device_access_rules(self, made: Answer) -> Answer:
        return {"Rules": [rule | DATES for rule in self.device_rules.values()]}

    def get_mobile_device_access_effect(self, made: Answer, **device: str) -> Answer:
        rules = list(self.device_rules.values())
        hits = [all(_device_fits(rule, f"{name}s", device.get(name, "")) for name in PROPERTIES) for rule in rules]
        effect, matched = winners(rules, hits)
        names = ("MobileDeviceAccessRuleId", "Name")
        return {"Effect": effect, "MatchedRules": [{name: rule[name] for name in names} for rule in matched]}

    def put_mobile_device_access_override(self, made: Answer, UserId: str, DeviceId: str, **given: str) -> Answer:
        user = self.enabled_user(UserId)
        self.overrides[user.id, DeviceId.lower()] = {"UserId": user.id, "DeviceId": DeviceId} | given
        return {}

    def get_mobile_device_access_override(self, made: Answer, UserId: str, DeviceId: str) -> Answer:
        found = self.overrides.get((self.get(UserId, "USER").id, DeviceId.lower()))
        if found is None:
            raise Fault("ResourceNotFound")
        return found | DATES

    def delete_mobile_device_access_override(self, made: Answer, UserId: str, DeviceId: str) -> Answer:
        self.overrides.pop((self.get(UserId, "USER").id, DeviceId.lower()), None)
        return {}

    def list_mobile_device_access_overrides(self, made: Answer, UserId: str | None = None, DeviceId: str | None = None) -> Answer:
        user = self.get(UserId, "USER").id if UserId is not None else None
        kept = [
            one
            for key, one in self.overrides.items()
            if user in (None, key[0]) and (DeviceId is None or DeviceId.lower() == key[1])
        ]  # fmt: skip
        return {"Overrides": [one | DATES for one in kept]}

    # Impersonation

    def create_impersonation_role(self, made: Answer, **given: Any) -> Answer:
        if len(self.roles) >= MOST_ROLES:
            raise Fault("LimitExceeded")
        identifier = {"ImpersonationRoleId": made.get("ImpersonationRoleId", "")}
        self.roles[identifier["ImpersonationRoleId"]] = identifier | self._role(given)
        return identifier

    def update_impersonation_role(self, made: Answer, ImpersonationRoleId: str, **given: Any) -> Answer:
        self._known_role(ImpersonationRoleId)
        self.roles[ImpersonationRoleId] = {"ImpersonationRoleId": ImpersonationRoleId} | self._role(given)
        return {}

    def delete_impersonation_role(self, made: Answer, ImpersonationRoleId: str) -> Answer:
        self.roles.pop(ImpersonationRoleId, None)
        return {}

    def get_impersonation_role(self, made: Answer, ImpersonationRoleId: str) -> Answer:
        return self._known_role(ImpersonationRoleId) | DATES

    def list_impersonation_roles(self, made: Answer) -> Answer:
        return {"Roles": [{name: role[name] for name in ("ImpersonationRoleId", "Name", "Type")} | DATES for role in self.roles.values()]}

    def get_impersonation_role_effect(self, made: Answer, ImpersonationRoleId: str, TargetUser: str) -> Answer:
        role, target = self._known_role(ImpersonationRoleId), self.enabled_user(TargetUser).id
        hits = [target in rule.get("TargetUsers", [target]) and target not in rule.get("NotTargetUsers", []) for rule in role["Rules"]]
        effect, matched = winners(role["Rules"], hits)
        named = [{name: rule[name] for name in ("ImpersonationRuleId", "Name") if name in rule} for rule in matched]
        return {"Type": role["Type"], "Effect": effect, "MatchedRules": named}

    def assume_impersonation_role(self, made: Answer, ImpersonationRoleId: str) -> Answer:
        self._known_role(ImpersonationRoleId)
        return {"Token": made.get("Token", "a token"), "ExpiresIn": 900}

    def _known_role(self, identifier: str) -> Answer:
        if identifier not in self.roles:
            raise Fault("ResourceNotFound")
        return self.roles[identifier]

    def _role(self, given: Answer) -> Answer:
        if len({rule["ImpersonationRuleId"] for rule in given["Rules"]}) < len(given["Rules"]):
            raise Fault("InvalidParameter")
        members = ("TargetUsers", "NotTargetUsers")
        rules = [
            rule | {name: list(dict.fromkeys(self.enabled_user(one).id for one in rule[name])) for name in members if name in rule}
            for rule in given["Rules"]
        ]
        return given | {"Rules": rules}

    # Retention, DMARC, monitoring

    def put_retention_policy(self, made: Answer, Name: str, FolderConfigurations: list[Answer], **given: str) -> Answer:
        names = [one["Name"] for one in FolderConfigurations]
        if len(set(names)) < len(names) or any(one["Action"] != "NONE" and "Period" not in one for one in FolderConfigurations):
            raise Fault("InvalidParameter")
        kept = {"Id": self.retention["Id"]} if self.retention else {"Id": "made by the server"}
        self.retention = kept | {"Name": Name, "FolderConfigurations": FolderConfigurations} | given
        return {}

    def get_default_retention_policy(self, made: Answer) -> Answer:
        if not self.retention:
            raise Fault("EntityNotFound")
        if self.retention["Id"] == "made by the server":
            self.retention["Id"] = made.get("Id", "none was given")
        return self.retention

    def delete_retention_policy(self, made: Answer, Id: str) -> Answer:
        if self.retention.get("Id") == Id:
            self.retention = {}
        return {}

    def put_inbound_dmarc_settings(self, made: Answer, Enforced: bool) -> Answer:
        self.enforced = Enforced
        return {}

    def describe_inbound_dmarc_settings(self, made: Answer) -> Answer:
        return {"Enforced": self.enforced}

    def put_email_monitoring_configuration(self, made: Answer, **given: str) -> Answer:
        self.monitoring = given
        return {}

    def describe_email_monitoring_configuration(self, made: Answer) -> Answer:
        if not self.monitoring:
            raise Fault("ResourceNotFound")
        return self.monitoring

    def delete_email_monitoring_configuration(self, made: Answer) -> Answer:
        self.monitoring = {}
        return {}

    # Availability

    def create_availability_configuration(self, made: Answer, DomainName: str, **given: Any) -> Answer:
        provider, domain = self._provider(given), DomainName.lower()
        if domain in self.availability or domain in self.domains:
            raise Fault("NameAvailability")
        self.availability[domain] = self._usable(provider)
        return {}

    def update_availability_configuration(self, made: Answer, DomainName: str, **given: Any) -> Answer:
        provider, domain = self._provider(given), DomainName.lower()
        if domain not in self.availability:
            raise Fault("ResourceNotFound")
        self.availability[domain] = self._usable(provider)
        return {}

    def delete_availability_configuration(self, made: Answer, DomainName: str) -> Answer:
        self.availability.pop(DomainName.lower(), None)
        return {}

    def list_availability_configurations(self, made: Answer) -> Answer:
        return {"AvailabilityConfigurations": [{"DomainName": domain} | one | DATES for domain, one in self.availability.items()]}

    def _provider(self, given: Answer) -> Answer:
        if len(given) != 1:
            raise Fault("InvalidParameter")
        return given

    def _usable(self, provider: Answer) -> Answer:
        if "LambdaProvider" in provider:
            return {"ProviderType": "LAMBDA"} | provider
        shown = {name: value for name, value in provider["EwsProvider"].items() if name != "EwsPassword"}
        if not shown["EwsEndpoint"].startswith("https:"):
            raise Fault("InvalidParameter")
        return {"ProviderType": "EWS", "EwsProvider": shown}

    # Identity provider

    def create_identity_center_application(self, made: Answer, **given: str) -> Answer:
        self.applications.add(made.get("ApplicationArn", ""))
        return made

    def delete_identity_center_application(self, made: Answer, ApplicationArn: str) -> Answer:
        self.applications.discard(ApplicationArn)
        return {}

    def put_identity_provider_configuration(self, made: Answer, **given: Any) -> Answer:
        if given["IdentityCenterConfiguration"]["ApplicationArn"] not in self.applications:
            raise Fault("ResourceNotFound")
        self.identity = given
        return {}

    def describe_identity_provider_configuration(self, made: Answer) -> Answer:
        if not self.identity:
            raise Fault("ResourceNotFound")
        return self.identity

    def delete_identity_provider_configuration(self, made: Answer) -> Answer:
        self.identity = {}
        return {}


def _inside(address: str, ranges: Collection[str]) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(one, strict=False) for one in ranges)


def _device_fits(rule: Answer, member: str, said: str) -> bool:
    wanted, unwanted = rule.get(member), rule.get(f"Not{member}")
    if not said:
        return (wanted is None or "$NONE" in wanted) and unwanted is None
    begins = [[said.lower().startswith(one.lower()) for one in values or [] if one != "$NONE"] for values in (wanted, unwanted)]
    return (wanted is None or any(begins[0])) and not any(begins[1])
