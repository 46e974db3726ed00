"""Which mobile devices may synchronize (WorkMail API: CreateMobileDeviceAccessRule to GetMobileDeviceAccessEffect)."""

from typing import Any

from postroom.api import listing
from postroom.api.operation import Answer, Call, operation
from postroom.policy import device_rules
from postroom.policy.access_rules import Effect
from postroom.policy.device_rules import Conditions, Device, DeviceRule

CONDITIONS = {
    "DeviceTypes": "types",
    "NotDeviceTypes": "not_types",
    "DeviceModels": "models",
    "NotDeviceModels": "not_models",
    "DeviceOperatingSystems": "operating_systems",
    "NotDeviceOperatingSystems": "not_operating_systems",
    "DeviceUserAgents": "user_agents",
    "NotDeviceUserAgents": "not_user_agents",
}
PROPERTIES = {
    "DeviceType": "type",
    "DeviceModel": "model",
    "DeviceOperatingSystem": "operating_system",
    "DeviceUserAgent": "user_agent",
}


@operation("CreateMobileDeviceAccessRule")
def create_mobile_device_access_rule(call: Call) -> Answer:
    """Add a rule."""
    return {"MobileDeviceAccessRuleId": device_rules.create(call.tx, **_rule(call))}


@operation("UpdateMobileDeviceAccessRule")
def update_mobile_device_access_rule(call: Call) -> Answer:
    """Replace a rule; what is left out is no longer asked for."""
    device_rules.update(call.tx, call.params["MobileDeviceAccessRuleId"], **_rule(call))
    return {}


@operation("DeleteMobileDeviceAccessRule")
def delete_mobile_device_access_rule(call: Call) -> Answer:
    """Remove a rule."""
    device_rules.delete(call.tx, call.params["MobileDeviceAccessRuleId"])
    return {}


@operation("ListMobileDeviceAccessRules")
def list_mobile_device_access_rules(call: Call) -> Answer:
    """List all rules."""
    return {"Rules": [_shown(rule) for rule in device_rules.load(call.tx)]}


@operation("GetMobileDeviceAccessEffect")
def get_mobile_device_access_effect(call: Call) -> Answer:
    """Say what the rules, without overrides, make of a device."""
    device = Device(**{field: call.params[member] for member, field in PROPERTIES.items() if member in call.params})
    decision = device_rules.decide(device_rules.load(call.tx), device)
    matched = [{"MobileDeviceAccessRuleId": rule.id, "Name": rule.name} for rule in decision.rules]
    return {"Effect": decision.effect, "MatchedRules": matched}


def _rule(call: Call) -> dict[str, Any]:
    params = call.params
    return {
        "name": params["Name"],
        "effect": Effect(params["Effect"]),
        "description": params.get("Description"),
        "conditions": Conditions(**{field: tuple(params[member]) for member, field in CONDITIONS.items() if member in params}),
    }


def _shown(rule: DeviceRule) -> Answer:
    asked = {member: list(getattr(rule.conditions, field)) for member, field in CONDITIONS.items() if getattr(rule.conditions, field)}
    return listing.present(
        MobileDeviceAccessRuleId=rule.id,
        Name=rule.name,
        Description=rule.description,
        Effect=rule.effect,
        **asked,
        DateCreated=rule.created_at,
        DateModified=rule.modified_at,
    )
