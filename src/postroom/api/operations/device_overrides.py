"""What is decided about one device of one user (WorkMail API: PutMobileDeviceAccessOverride to ListMobileDeviceAccessOverrides)."""

from postroom.api import listing, paging
from postroom.api.operation import Answer, Call, operation
from postroom.policy import device_overrides
from postroom.policy.access_rules import Effect
from postroom.policy.device_overrides import Override


@operation("PutMobileDeviceAccessOverride")
def put_mobile_device_access_override(call: Call) -> Answer:
    """Add or replace an override."""
    params = call.params
    device_overrides.put(call.tx, params["UserId"], params["DeviceId"], Effect(params["Effect"]), params.get("Description"))
    return {}


@operation("GetMobileDeviceAccessOverride")
def get_mobile_device_access_override(call: Call) -> Answer:
    """Show an override."""
    return _shown(device_overrides.get(call.tx, call.params["UserId"], call.params["DeviceId"]))


@operation("DeleteMobileDeviceAccessOverride")
def delete_mobile_device_access_override(call: Call) -> Answer:
    """Remove an override."""
    device_overrides.delete(call.tx, call.params["UserId"], call.params["DeviceId"])
    return {}


@operation("ListMobileDeviceAccessOverrides")
def list_mobile_device_access_overrides(call: Call) -> Answer:
    """List overrides, of one user or for one device where that is asked."""
    after = call.page.after or ("", "")
    found = device_overrides.page(
        call.tx,
        user=call.params.get("UserId"),
        device_id=call.params.get("DeviceId"),
        after=(after[0], after[1]),
        limit=call.page.fetch,
    )
    return paging.answer(call.page, "Overrides", found, key=_key, render=_shown)


def _key(override: Override) -> tuple[str, str]:
    return override.user_id, device_overrides.key_of(override.device_id)


def _shown(override: Override) -> Answer:
    return listing.present(
        UserId=override.user_id,
        DeviceId=override.device_id,
        Effect=override.effect,
        Description=override.description,
        DateCreated=override.created_at,
        DateModified=override.modified_at,
    )
