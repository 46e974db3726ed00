"""Rooms and equipment, and who answers for them (WorkMail API: CreateResource to ListResourceDelegates)."""

from postroom.api import listing, paging
from postroom.api.operation import Answer, Call, operation
from postroom.directory import entities, resources
from postroom.model import errors
from postroom.storage.queries import delegates
from postroom.storage.queries import entities as entity_rows

FILTERS = {"NamePrefix": "name_key", "PrimaryEmailPrefix": "email_key", "State": "state"}


@operation("CreateResource")
def create_resource(call: Call) -> Answer:
    """Add a resource."""
    params = call.params
    resource = resources.create(
        call.tx,
        name=params["Name"],
        type=params["Type"],
        description=params.get("Description"),
        hidden=params.get("HiddenFromGlobalAddressList", False),
    )
    return {"ResourceId": resource.id}


@operation("DeleteResource")
def delete_resource(call: Call) -> Answer:
    """Remove a disabled resource."""
    resources.delete(call.tx, call.params["ResourceId"])
    return {}


@operation("DescribeResource")
def describe_resource(call: Call) -> Answer:
    """Show everything about a resource but its delegates."""
    entity, resource = resources.describe(call.tx, call.params["ResourceId"])
    return listing.present(
        ResourceId=entity.id,
        Email=entity.email,
        Name=entity.name,
        Type=resource.type,
        BookingOptions={
            "AutoAcceptRequests": resource.booking.auto_accept,
            "AutoDeclineRecurringRequests": resource.booking.decline_recurring,
            "AutoDeclineConflictingRequests": resource.booking.decline_conflicts,
        },
        State=entity.state,
        EnabledDate=entity.enabled_at,
        DisabledDate=entity.disabled_at,
        Description=resource.description,
        HiddenFromGlobalAddressList=entity.hidden,
    )


@operation("ListResources")
def list_resources(call: Call) -> Answer:
    """List resources, or those that one filter picks."""
    rows = entity_rows.page_of_resources(
        call.tx, where=listing.the_filter(call.params, FILTERS), after=call.page.after, limit=call.page.fetch
    )
    return paging.answer(call.page, "Resources", rows, key=listing.key, render=_summary)


@operation("UpdateResource")
def update_resource(call: Call) -> Answer:
    """Change what is given about a resource."""
    params = call.params
    booking = params.get("BookingOptions") or {}
    try:
        resources.update(
            call.tx,
            params["ResourceId"],
            name=params.get("Name"),
            type=params.get("Type"),
            description=params.get("Description"),
            hidden=params.get("HiddenFromGlobalAddressList"),
            auto_accept=booking.get("AutoAcceptRequests"),
            decline_recurring=booking.get("AutoDeclineRecurringRequests"),
            decline_conflicts=booking.get("AutoDeclineConflictingRequests"),
        )
    except errors.NameReserved as error:  # which this operation, other than CreateResource, does not declare
        raise errors.InvalidParameter(error.text) from error
    return {}


@operation("AssociateDelegateToResource")
def associate_delegate_to_resource(call: Call) -> Answer:
    """Let a user or group answer for a resource."""
    resources.add_delegate(call.tx, call.params["ResourceId"], call.params["EntityId"])
    return {}


@operation("DisassociateDelegateFromResource")
def disassociate_delegate_from_resource(call: Call) -> Answer:
    """End a delegation."""
    resources.remove_delegate(call.tx, call.params["ResourceId"], call.params["EntityId"])
    return {}


@operation("ListResourceDelegates")
def list_resource_delegates(call: Call) -> Answer:
    """List who answers for a resource."""
    entity = entities.get(call.tx, call.params["ResourceId"], resources.KINDS)
    after = call.page.after[0] if call.page.after else ""
    rows = delegates.page(call.tx, entity.id, after=after, limit=call.page.fetch)
    return paging.answer(call.page, "Delegates", rows, key=lambda row: (row[0],), render=lambda row: {"Id": row[0], "Type": row[1]})


def _summary(row: listing.Row) -> Answer:
    shown = listing.summary(row)
    shown["Type"] = row[10]
    if row[11] is not None:
        shown["Description"] = row[11]
    return shown
