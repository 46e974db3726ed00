"""Access keys of users (IAM API: CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey, GetAccessKeyLastUsed)."""

from __future__ import annotations

from typing import Any

from postroom.api.iam import entry
from postroom.api.iam.entry import operation
from postroom.api.operation import Answer, Call
from postroom.directory import principals
from postroom.model import errors
from postroom.model.principals import AccessKey, KeyStatus


@operation("CreateAccessKey")
def create_access_key(call: Call) -> Answer:
    """Make a key; its secret is answered this once."""
    key = principals.create_key(call.tx, entry.user_of(call))
    return {"AccessKey": _shown(key) | {"SecretAccessKey": key.secret}}


@operation("ListAccessKeys")
def list_access_keys(call: Call) -> Answer:
    """List a user's keys."""
    found = sorted(principals.keys_of(call.tx, entry.user_of(call)), key=lambda key: key.id)
    return entry.page(call, "AccessKeyMetadata", entry.cut(call, found, lambda key: key.id), key=lambda key: key.id, render=_shown)


@operation("UpdateAccessKey")
def update_access_key(call: Call) -> Answer:
    """Let a key sign, or not."""
    if call.params["Status"] not in (KeyStatus.ACTIVE, KeyStatus.INACTIVE):
        raise errors.InvalidParameter("The status of a key can be set to Active or Inactive.")
    principals.set_status(call.tx, call.params["AccessKeyId"], KeyStatus(call.params["Status"]), entry.user_of(call))
    return {}


@operation("DeleteAccessKey")
def delete_access_key(call: Call) -> Answer:
    """Delete a key."""
    principals.delete(call.tx, call.params["AccessKeyId"], entry.user_of(call))
    return {}


@operation("GetAccessKeyLastUsed")
def get_access_key_last_used(call: Call) -> Answer:
    """Tell when a key was last used and for which service, to a quarter of an hour."""
    key = principals.find(call.tx, call.params["AccessKeyId"])
    if key is None:  # the model declares no NoSuchEntity
        raise errors.NotPermitted(f"There is no access key {call.params['AccessKeyId']} that you may see.")
    used: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    if key.last_used_at is not None:
        used = {"LastUsedDate": key.last_used_at, "ServiceName": key.last_used_service or "workmail", "Region": call.caller.region}
    return {"UserName": key.name, "AccessKeyLastUsed": used}


def _shown(key: AccessKey) -> dict[str, Any]:
    return {"UserName": key.name, "AccessKeyId": key.id, "Status": key.status, "CreateDate": key.created_at}
