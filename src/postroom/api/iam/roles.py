"""Roles (IAM API: CreateRole, GetRole, ListRoles, DeleteRole, UpdateAssumeRolePolicy)."""

from __future__ import annotations

from typing import Any

from postroom.api.iam import entry
from postroom.api.iam.entry import operation
from postroom.api.operation import Answer, Call
from postroom.directory import roles
from postroom.model.principals import Role, role_arn
from postroom.policy.iam import trust
from postroom.storage.queries import roles as rows


@operation("CreateRole")
def create_role(call: Call) -> Answer:
    """Make a role with its trust policy."""
    entry.refuse(call.params, "Tags", "PermissionsBoundary")
    role = trust.create_role(
        call.tx,
        call.caller.account,
        name=call.params["RoleName"],
        document=call.params["AssumeRolePolicyDocument"],
        path=call.params.get("Path", "/"),
        description=call.params.get("Description"),
        session_seconds=call.params.get("MaxSessionDuration", roles.SESSION_SECONDS),
    )
    return {"Role": _shown(call, role)}


@operation("GetRole")
def get_role(call: Call) -> Answer:
    """Describe a role."""
    role = roles.get(call.tx, call.params["RoleName"])
    return {"Role": _shown(call, role)}


@operation("ListRoles")
def list_roles(call: Call) -> Answer:
    """List the roles, perhaps those below a path."""
    found = rows.page(call.tx, prefix=call.params.get("PathPrefix", ""), after=entry.after(call), limit=call.page.fetch)
    return entry.page(call, "Roles", found, key=lambda role: role.name.lower(), render=lambda role: _shown(call, role))


@operation("DeleteRole")
def delete_role(call: Call) -> Answer:
    """Delete a role without policies; its sessions end."""
    roles.delete(call.tx, call.params["RoleName"])
    return {}


@operation("UpdateAssumeRolePolicy")
def update_assume_role_policy(call: Call) -> Answer:
    """Say anew who may assume a role; sessions that have begun go on."""
    trust.set_trust(call.tx, call.caller.account, roles.get(call.tx, call.params["RoleName"]), call.params["PolicyDocument"])
    return {}


def _shown(call: Call, role: Role) -> dict[str, Any]:
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role_arn(call.caller.account, role.path, role.name),
        "CreateDate": role.created_at,
        "AssumeRolePolicyDocument": entry.encoded(role.trust),
        "Description": role.description,
        "MaxSessionDuration": role.session_seconds,
    }
