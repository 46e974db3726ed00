"""Groups and members by boto3."""

import datetime

from .conftest import Api


def group(api: Api, name: str, *, registered: bool = False) -> str:
    group_id: str = api("create_group", Name=name)["GroupId"]
    if registered:
        api("register_to_work_mail", EntityId=group_id, Email=f"{name}@example.test")
    return group_id


def user(api: Api, name: str) -> str:
    user_id: str = api("create_user", Name=name, DisplayName="")["UserId"]
    return user_id


def test_create_describe_update(api: Api) -> None:
    group_id = api("create_group", Name="All staff, everywhere", HiddenFromGlobalAddressList=True)["GroupId"]
    assert api("describe_group", GroupId=group_id) == {
        "GroupId": group_id,
        "Name": "All staff, everywhere",
        "State": "DISABLED",
        "HiddenFromGlobalAddressList": True,
    }
    api("register_to_work_mail", EntityId=group_id, Email="staff@example.test")
    api("update_group", GroupId="staff@example.test", HiddenFromGlobalAddressList=False)
    shown = api("describe_group", GroupId="staff@example.test")
    assert (shown["State"], shown["HiddenFromGlobalAddressList"]) == ("ENABLED", False)
    assert isinstance(shown["EnabledDate"], datetime.datetime)
    assert api.fails("update_group", GroupId="nobody") == "EntityNotFoundException"
    assert api.fails("describe_group", GroupId="nobody") == "EntityNotFoundException"
    assert api.fails("describe_group", GroupId=user(api, "alice")) == "EntityNotFoundException"
    assert api.fails("create_group", Name="Guest") == "ReservedNameException"


def test_members_come_and_go_without_complaint(api: Api) -> None:
    staff, inner, alice = group(api, "staff", registered=True), group(api, "inner"), user(api, "alice")
    for _ in range(2):
        api("associate_member_to_group", GroupId="staff", MemberId=alice)
        api("associate_member_to_group", GroupId=staff, MemberId="inner")
    members = sorted(api("list_group_members", GroupId="staff@example.test")["Members"], key=lambda member: member["Name"])
    assert members == [
        {"Id": alice, "Name": "alice", "Type": "USER", "State": "DISABLED"},
        {"Id": inner, "Name": "inner", "Type": "GROUP", "State": "DISABLED"},
    ]
    for _ in range(2):
        api("disassociate_member_from_group", GroupId=staff, MemberId="alice")
    assert [member["Id"] for member in api("list_group_members", GroupId=staff)["Members"]] == [inner]


def test_an_empty_group_lists_nobody(api: Api) -> None:
    assert api("list_group_members", GroupId=group(api, "staff")) == {"Members": []}
    assert api("list_groups_for_entity", EntityId=user(api, "alice")) == {"Groups": []}


def test_who_cannot_be_a_member(api: Api) -> None:
    staff = group(api, "staff")
    api("create_resource", Name="room", Type="ROOM")
    assert api.fails("associate_member_to_group", GroupId=staff, MemberId="nobody") == "EntityNotFoundException"
    assert api.fails("associate_member_to_group", GroupId="nobody", MemberId=staff) == "EntityNotFoundException"
    assert api.fails("associate_member_to_group", GroupId=staff, MemberId="room") == "InvalidParameterException"
    assert api.fails("associate_member_to_group", GroupId=staff, MemberId=staff) == "InvalidParameterException"
    assert api.fails("disassociate_member_from_group", GroupId=staff, MemberId="nobody") == "EntityNotFoundException"
    assert api.fails("list_group_members", GroupId="nobody") == "EntityNotFoundException"
    assert api.fails("list_groups_for_entity", EntityId="nobody") == "EntityNotFoundException"


def test_pages_of_members_and_of_groups(api: Api) -> None:
    staff, alice = group(api, "staff"), user(api, "alice")
    inside = {user(api, f"user{number}") for number in range(5)}
    for member in inside:
        api("associate_member_to_group", GroupId=staff, MemberId=member)
    pages = api.client.get_paginator("list_group_members").paginate(
        OrganizationId=api.organization.id, GroupId=staff, PaginationConfig={"PageSize": 2}
    )
    shown = [[member["Id"] for member in page["Members"]] for page in pages]
    assert [len(page) for page in shown] == [2, 2, 1]
    assert {member for page in shown for member in page} == inside

    for name in ("beta", "Alpha", "Bravo"):
        api("associate_member_to_group", GroupId=group(api, name), MemberId=alice)
    first = api("list_groups_for_entity", EntityId="alice", MaxResults=2)
    assert [found["GroupName"] for found in first["Groups"]] == ["Alpha", "beta"]
    second = api("list_groups_for_entity", EntityId="alice", MaxResults=2, NextToken=first["NextToken"])
    assert [found["GroupName"] for found in second["Groups"]] == ["Bravo"]
    assert "NextToken" not in second
    some = api("list_groups_for_entity", EntityId=alice, Filters={"GroupNamePrefix": "B"})
    assert [found["GroupName"] for found in some["Groups"]] == ["beta", "Bravo"]
    assert all(found["GroupId"] for found in some["Groups"])


def test_lists_by_one_filter(api: Api) -> None:
    staff, other = group(api, "staff", registered=True), group(api, "stage")
    shown = {row["Id"]: row for row in api("list_groups")["Groups"]}
    assert shown[other] == {"Id": other, "Name": "stage", "State": "DISABLED"}
    assert (shown[staff]["Email"], shown[staff]["State"]) == ("staff@example.test", "ENABLED")
    for filters, names in (
        ({"NamePrefix": "STA"}, ["staff", "stage"]),
        ({"NamePrefix": "stag"}, ["stage"]),
        ({"PrimaryEmailPrefix": "sta"}, ["staff"]),
        ({"State": "DISABLED"}, ["stage"]),
    ):
        assert sorted(row["Name"] for row in api("list_groups", Filters=filters)["Groups"]) == names
    assert api.fails("list_groups", Filters={"NamePrefix": "a", "State": "ENABLED"}) == "InvalidParameterException"


def test_delete_only_when_disabled_and_again_without_complaint(api: Api) -> None:
    staff = group(api, "staff", registered=True)
    assert api.fails("delete_group", GroupId=staff) == "EntityStateException"
    api("deregister_from_work_mail", EntityId=staff)
    assert api.fails("delete_group", GroupId=user(api, "alice")) == "InvalidParameterException"
    for _ in range(2):
        api("delete_group", GroupId="staff")
    assert api("list_groups") == {"Groups": []}
