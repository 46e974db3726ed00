"""Inline policies (IAM API: PutUserPolicy, GetUserPolicy, ListUserPolicies, DeleteUserPolicy, and the same of roles)."""

from __future__ import annotations

from postroom.api.iam import entry
from postroom.api.iam.entry import operation
from postroom.api.operation import Answer, Call
from postroom.directory import roles
from postroom.policy.iam import inline_policies


@operation("PutUserPolicy")
def put_user_policy(call: Call) -> Answer:
    """Give a user a policy, in the place of one of the same name."""
    return _put(call, entry.user_of(call).id)


@operation("GetUserPolicy")
def get_user_policy(call: Call) -> Answer:
    """Show a policy of a user."""
    user = entry.user_of(call)
    return {"UserName": user.name} | _document(call, user.id)


@operation("ListUserPolicies")
def list_user_policies(call: Call) -> Answer:
    """List the names of a user's policies."""
    return _names(call, entry.user_of(call).id)


@operation("DeleteUserPolicy")
def delete_user_policy(call: Call) -> Answer:
    """Take a policy from a user."""
    return _delete(call, entry.user_of(call).id)


@operation("PutRolePolicy")
def put_role_policy(call: Call) -> Answer:
    """Give a role a policy, in the place of one of the same name."""
    return _put(call, _role_id(call))


@operation("GetRolePolicy")
def get_role_policy(call: Call) -> Answer:
    """Show a policy of a role."""
    role_id = _role_id(call)
    return {"RoleName": call.params["RoleName"]} | _document(call, role_id)


@operation("ListRolePolicies")
def list_role_policies(call: Call) -> Answer:
    """List the names of a role's policies."""
    return _names(call, _role_id(call))


@operation("DeleteRolePolicy")
def delete_role_policy(call: Call) -> Answer:
    """Take a policy from a role."""
    return _delete(call, _role_id(call))


def _role_id(call: Call) -> str:
    return roles.get(call.tx, call.params["RoleName"]).id


def _put(call: Call, owner: str) -> Answer:
    inline_policies.put(call.tx, owner, call.params["PolicyName"], call.params["PolicyDocument"])
    return {}


def _document(call: Call, owner: str) -> Answer:
    name = call.params["PolicyName"]
    return {"PolicyName": name, "PolicyDocument": entry.encoded(inline_policies.get(call.tx, owner, name))}


def _names(call: Call, owner: str) -> Answer:
    found = entry.cut(call, inline_policies.names(call.tx, owner), str)
    return entry.page(call, "PolicyNames", found, key=str, render=str)


def _delete(call: Call, owner: str) -> Answer:
    inline_policies.delete(call.tx, owner, call.params["PolicyName"])
    return {}
