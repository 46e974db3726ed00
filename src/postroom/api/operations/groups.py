"""Groups and their members (WorkMail API: CreateGroup to ListGroupsForEntity)."""

from postroom.api import listing, paging
from postroom.api.operation import Answer, Call, operation
from postroom.directory import entities, groups
from postroom.model.entities import Kind
from postroom.storage.queries import entities as entity_rows
from postroom.storage.queries import members

FILTERS = {"NamePrefix": "name_key", "PrimaryEmailPrefix": "email_key", "State": "state"}


@operation("CreateGroup")
def create_group(call: Call) -> Answer:
    """Add a group."""
    hidden = call.params.get("HiddenFromGlobalAddressList", False)
    return {"GroupId": groups.create(call.tx, name=call.params["Name"], hidden=hidden).id}


@operation("DeleteGroup")
def delete_group(call: Call) -> Answer:
    """Remove a disabled group."""
    groups.delete(call.tx, call.params["GroupId"])
    return {}


@operation("DescribeGroup")
def describe_group(call: Call) -> Answer:
    """Show everything about a group but its members."""
    group = entities.get(call.tx, call.params["GroupId"], groups.KINDS)
    return listing.present(
        GroupId=group.id,
        Name=group.name,
        Email=group.email,
        State=group.state,
        EnabledDate=group.enabled_at,
        DisabledDate=group.disabled_at,
        HiddenFromGlobalAddressList=group.hidden,
    )


@operation("ListGroups")
def list_groups(call: Call) -> Answer:
    """List groups, or those that one filter picks."""
    rows = entity_rows.page(
        call.tx, Kind.GROUP, where=listing.the_filter(call.params, FILTERS), after=call.page.after, limit=call.page.fetch
    )
    return paging.answer(call.page, "Groups", rows, key=listing.key, render=listing.summary)


@operation("UpdateGroup")
def update_group(call: Call) -> Answer:
    """Change what is given about a group."""
    groups.update(call.tx, call.params["GroupId"], hidden=call.params.get("HiddenFromGlobalAddressList"))
    return {}


@operation("AssociateMemberToGroup")
def associate_member_to_group(call: Call) -> Answer:
    """Put a user or group into a group."""
    groups.add_member(call.tx, call.params["GroupId"], call.params["MemberId"])
    return {}


@operation("DisassociateMemberFromGroup")
def disassociate_member_from_group(call: Call) -> Answer:
    """Take a user or group out of a group."""
    groups.remove_member(call.tx, call.params["GroupId"], call.params["MemberId"])
    return {}


@operation("ListGroupMembers")
def list_group_members(call: Call) -> Answer:
    """List who is in a group directly."""
    group = entities.get(call.tx, call.params["GroupId"], groups.KINDS)
    after = call.page.after[0] if call.page.after else ""
    rows = members.page(call.tx, group.id, after=after, limit=call.page.fetch)
    return paging.answer(call.page, "Members", rows, key=lambda row: (row[0],), render=_member)


@operation("ListGroupsForEntity")
def list_groups_for_entity(call: Call) -> Answer:
    """List the groups that a user or group is in directly."""
    entity = entities.get(call.tx, call.params["EntityId"])
    prefix = (call.params.get("Filters") or {}).get("GroupNamePrefix", "").casefold()
    rows = members.page_of_groups(call.tx, entity.id, prefix=prefix, after=call.page.after, limit=call.page.fetch)
    return paging.answer(call.page, "Groups", rows, key=listing.key, render=lambda row: {"GroupId": row[1], "GroupName": row[2]})


def _member(row: listing.Row) -> Answer:
    identifier, name, kind, state, enabled_at, disabled_at = row
    return listing.present(Id=identifier, Name=name, Type=kind, State=state, EnabledDate=enabled_at, DisabledDate=disabled_at)
