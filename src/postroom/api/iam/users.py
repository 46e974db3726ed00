"""Users of the API (IAM API: CreateUser, GetUser, ListUsers, DeleteUser)."""

from __future__ import annotations

from typing import Any

from postroom.api.iam import entry
from postroom.api.iam.entry import operation
from postroom.api.operation import Answer, Call
from postroom.directory import principals
from postroom.model.principals import User, user_arn
from postroom.storage.queries import principals as rows


@operation("CreateUser")
def create_user(call: Call) -> Answer:
    """Make a user, who may do nothing yet."""
    entry.refuse(call.params, "Tags", "PermissionsBoundary")
    return {"User": _shown(call, principals.create_user(call.tx, name=call.params["UserName"], path=call.params.get("Path", "/")))}


@operation("GetUser")
def get_user(call: Call) -> Answer:
    """Describe a user, or the caller."""
    return {"User": _shown(call, entry.user_of(call))}


@operation("ListUsers")
def list_users(call: Call) -> Answer:
    """List the users, perhaps those below a path."""
    found = rows.page_users(call.tx, prefix=call.params.get("PathPrefix", ""), after=entry.after(call), limit=call.page.fetch)
    return entry.page(call, "Users", found, key=lambda user: user.name.lower(), render=lambda user: _shown(call, user))


@operation("DeleteUser")
def delete_user(call: Call) -> Answer:
    """Delete a user who has neither keys nor policies."""
    principals.delete_user(call.tx, entry.user_name(call))
    return {}


def _shown(call: Call, user: User) -> dict[str, Any]:
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user_arn(call.caller.account, user.path, user.name),
        "CreateDate": user.created_at,
    }
