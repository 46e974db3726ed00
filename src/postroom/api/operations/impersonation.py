"""Roles that act as others in EWS (WorkMail API: CreateImpersonationRole to AssumeImpersonationRole)."""

from collections.abc import Mapping
from typing import Any

from postroom.api import listing, paging
from postroom.api.operation import Answer, Call, operation
from postroom.policy import impersonation, impersonation_tokens
from postroom.policy.access_rules import Effect
from postroom.policy.impersonation import Role, RoleType, Rule


@operation("CreateImpersonationRole")
def create_impersonation_role(call: Call) -> Answer:
    """Add a role."""
    return {"ImpersonationRoleId": impersonation.create(call.tx, **_role(call))}


@operation("UpdateImpersonationRole")
def update_impersonation_role(call: Call) -> Answer:
    """Replace a role; a description that is left out is gone."""
    impersonation.update(call.tx, call.params["ImpersonationRoleId"], **_role(call))
    return {}


@operation("DeleteImpersonationRole")
def delete_impersonation_role(call: Call) -> Answer:
    """Remove a role and its tokens."""
    impersonation.delete(call.tx, call.params["ImpersonationRoleId"])
    return {}


@operation("GetImpersonationRole")
def get_impersonation_role(call: Call) -> Answer:
    """Show a role with its rules."""
    role = impersonation.get(call.tx, call.params["ImpersonationRoleId"])
    return _summary(role) | listing.present(Description=role.description, Rules=[_shown(rule) for rule in role.rules])


@operation("ListImpersonationRoles")
def list_impersonation_roles(call: Call) -> Answer:
    """List roles without their rules."""
    after = call.page.after[0] if call.page.after else ""
    roles = impersonation.page(call.tx, after=after, limit=call.page.fetch)
    return paging.answer(call.page, "Roles", roles, key=lambda role: (role.id,), render=_summary)


@operation("GetImpersonationRoleEffect")
def get_impersonation_role_effect(call: Call) -> Answer:
    """Say whether a role may act as a user."""
    role, decision = impersonation.try_out(call.tx, call.params["ImpersonationRoleId"], call.params["TargetUser"])
    matched = [listing.present(ImpersonationRuleId=rule.id, Name=rule.name) for rule in decision.rules]
    return {"Type": role.type, "Effect": decision.effect, "MatchedRules": matched}


@operation("AssumeImpersonationRole")
def assume_impersonation_role(call: Call) -> Answer:
    """Give a token to act as others for a while."""
    token = impersonation_tokens.assume(call.tx, call.organization, call.params["ImpersonationRoleId"])
    return {"Token": token, "ExpiresIn": impersonation_tokens.SECONDS}


def _role(call: Call) -> dict[str, Any]:
    params = call.params
    return {
        "name": params["Name"],
        "type": RoleType(params["Type"]),
        "description": params.get("Description"),
        "rules": [_rule(entry) for entry in params["Rules"]],
    }


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        id=entry["ImpersonationRuleId"],
        effect=Effect(entry["Effect"]),
        name=entry.get("Name"),
        description=entry.get("Description"),
        targets=tuple(entry.get("TargetUsers", ())),
        not_targets=tuple(entry.get("NotTargetUsers", ())),
    )


def _summary(role: Role) -> Answer:
    return {
        "ImpersonationRoleId": role.id,
        "Name": role.name,
        "Type": role.type,
        "DateCreated": role.created_at,
        "DateModified": role.modified_at,
    }


def _shown(rule: Rule) -> Answer:
    return listing.present(
        ImpersonationRuleId=rule.id,
        Name=rule.name,
        Description=rule.description,
        Effect=rule.effect,
        TargetUsers=list(rule.targets) or None,
        NotTargetUsers=list(rule.not_targets) or None,
    )
