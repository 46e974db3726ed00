"""Access control rules (WorkMail API: PutAccessControlRule to GetAccessControlEffect)."""

from postroom.api.listing import present
from postroom.api.operation import Answer, Call, operation
from postroom.directory import entities, users
from postroom.model import errors
from postroom.model.actors import Action
from postroom.policy import access_rules, impersonation
from postroom.policy.access_rules import AccessRule, Conditions, Effect, Situation

CONDITIONS = {
    "IpRanges": "ip_ranges",
    "NotIpRanges": "not_ip_ranges",
    "Actions": "actions",
    "NotActions": "not_actions",
    "UserIds": "user_ids",
    "NotUserIds": "not_user_ids",
    "ImpersonationRoleIds": "impersonation_role_ids",
    "NotImpersonationRoleIds": "not_impersonation_role_ids",
}


@operation("PutAccessControlRule")
def put_access_control_rule(call: Call) -> Answer:
    """Add a rule or replace the one of the same name."""
    params = call.params
    conditions = Conditions(**{field: tuple(params.get(member, ())) for member, field in CONDITIONS.items()})
    access_rules.put(call.tx, AccessRule(params["Name"], Effect(params["Effect"]), conditions, params["Description"]))
    return {}


@operation("DeleteAccessControlRule")
def delete_access_control_rule(call: Call) -> Answer:
    """Remove a rule, which need not be there."""
    access_rules.delete(call.tx, call.params["Name"])
    return {}


@operation("ListAccessControlRules")
def list_access_control_rules(call: Call) -> Answer:
    """List all rules."""
    return {"Rules": [_shown(rule) for rule in access_rules.load(call.tx)]}


@operation("GetAccessControlEffect")
def get_access_control_effect(call: Call) -> Answer:
    """Say what the rules would say of a user or an impersonation role, and which of them decide it."""
    decision = access_rules.decide(access_rules.load(call.tx), _situation(call))
    return {"Effect": decision.effect, "MatchedRules": list(decision.rules)}


def _situation(call: Call) -> Situation:
    action = access_rules.action(call.params["Action"])
    address: str = call.params["IpAddress"]
    reference, role = call.params.get("UserId"), call.params.get("ImpersonationRoleId")
    if (reference is None) == (role is None):
        raise errors.InvalidParameter("Give either a UserId or an ImpersonationRoleId.")
    if role is None:
        return Situation(action, address, user_id=entities.get(call.tx, reference or "", users.KINDS).id)
    if action is not Action.EWS:
        raise errors.InvalidParameter("An impersonation role is used by EWS alone.")
    return Situation(action, address, impersonation_role_id=impersonation.get(call.tx, role).id)


def _shown(rule: AccessRule) -> Answer:
    asked = {member: list(getattr(rule.conditions, field)) or None for member, field in CONDITIONS.items()}
    return present(
        Name=rule.name,
        Effect=rule.effect,
        Description=rule.description,
        DateCreated=rule.created_at,
        DateModified=rule.modified_at,
        **asked,
    )
