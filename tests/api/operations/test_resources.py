"""Resources and delegates by boto3."""

from .conftest import Api

OPTIONS = {"AutoAcceptRequests": True, "AutoDeclineRecurringRequests": False, "AutoDeclineConflictingRequests": True}


def test_create_describe_update(api: Api) -> None:
    resource_id = api("create_resource", Name="room-1", Type="ROOM", Description="By the window")["ResourceId"]
    assert api("describe_resource", ResourceId=resource_id) == {
        "ResourceId": resource_id,
        "Name": "room-1",
        "Type": "ROOM",
        "BookingOptions": OPTIONS,
        "State": "DISABLED",
        "Description": "By the window",
        "HiddenFromGlobalAddressList": False,
    }
    api("register_to_work_mail", EntityId="room-1", Email="room1@example.test")
    api(
        "update_resource",
        ResourceId="room1@example.test",
        Name="Beamer",
        Type="EQUIPMENT",
        Description="",
        HiddenFromGlobalAddressList=True,
        BookingOptions={"AutoDeclineRecurringRequests": True},
    )
    shown = api("describe_resource", ResourceId="beamer")
    assert (shown["Type"], shown["Email"], shown["HiddenFromGlobalAddressList"]) == ("EQUIPMENT", "room1@example.test", True)
    assert shown["BookingOptions"] == OPTIONS | {"AutoDeclineRecurringRequests": True}
    assert "Description" not in shown
    assert api.fails("describe_resource", ResourceId="nowhere") == "EntityNotFoundException"
    assert api.fails("update_resource", ResourceId="nowhere") == "EntityNotFoundException"


def test_names(api: Api) -> None:
    api("create_resource", Name="room", Type="ROOM")
    api("create_resource", Name="other", Type="ROOM")
    assert api.fails("create_resource", Name="ROOM", Type="ROOM") == "NameAvailabilityException"
    assert api.fails("create_resource", Name="public", Type="ROOM") == "ReservedNameException"
    assert api.fails("update_resource", ResourceId="other", Name="room") == "NameAvailabilityException"
    assert api.fails("update_resource", ResourceId="other", Name="Public") == "InvalidParameterException"


def test_a_resource_that_does_not_answer_needs_a_delegate(api: Api) -> None:
    room = api("create_resource", Name="room", Type="ROOM")["ResourceId"]
    alice = api("create_user", Name="alice", DisplayName="")["UserId"]
    staff = api("create_group", Name="staff")["GroupId"]
    manual = {"BookingOptions": {"AutoAcceptRequests": False}}
    assert api.fails("update_resource", ResourceId=room, **manual) == "InvalidConfigurationException"
    for _ in range(2):
        api("associate_delegate_to_resource", ResourceId=room, EntityId="alice")
    api("associate_delegate_to_resource", ResourceId="room", EntityId=staff)
    delegates = api("list_resource_delegates", ResourceId="room")["Delegates"]
    assert sorted(delegates, key=lambda one: one["Type"]) == [{"Id": staff, "Type": "GROUP"}, {"Id": alice, "Type": "USER"}]
    api("update_resource", ResourceId=room, **manual)
    for _ in range(2):
        api("disassociate_delegate_from_resource", ResourceId=room, EntityId=staff)
    assert api.fails("disassociate_delegate_from_resource", ResourceId=room, EntityId=alice) == "EntityStateException"
    assert [one["Id"] for one in api("list_resource_delegates", ResourceId=room)["Delegates"]] == [alice]


def test_who_cannot_answer(api: Api) -> None:
    api("create_resource", Name="room", Type="ROOM")
    api("create_resource", Name="other", Type="ROOM")
    for operation in ("associate_delegate_to_resource", "disassociate_delegate_from_resource"):
        assert api.fails(operation, ResourceId="room", EntityId="nobody") == "EntityNotFoundException"
        assert api.fails(operation, ResourceId="nowhere", EntityId="room") == "EntityNotFoundException"
    assert api.fails("associate_delegate_to_resource", ResourceId="room", EntityId="other") == "InvalidParameterException"
    assert api.fails("list_resource_delegates", ResourceId="nowhere") == "EntityNotFoundException"


def test_lists_by_one_filter_and_page(api: Api) -> None:
    room = api("create_resource", Name="room", Type="ROOM", Description="Here")["ResourceId"]
    api("create_resource", Name="rover", Type="EQUIPMENT")
    api("register_to_work_mail", EntityId=room, Email="meet@example.test")
    shown = {row["Name"]: row for row in api("list_resources")["Resources"]}
    assert (shown["room"]["Type"], shown["room"]["Description"], shown["room"]["Email"]) == ("ROOM", "Here", "meet@example.test")
    assert "Description" not in shown["rover"]
    for filters, names in (
        ({"NamePrefix": "ro"}, ["room", "rover"]),
        ({"PrimaryEmailPrefix": "meet"}, ["room"]),
        ({"State": "DISABLED"}, ["rover"]),
    ):
        assert [row["Name"] for row in api("list_resources", Filters=filters)["Resources"]] == names
    assert api.fails("list_resources", Filters={"NamePrefix": "a", "State": "ENABLED"}) == "InvalidParameterException"
    first = api("list_resources", MaxResults=1)
    second = api("list_resources", MaxResults=1, NextToken=first["NextToken"])
    assert {first["Resources"][0]["Name"], second["Resources"][0]["Name"]} == {"room", "rover"}
    assert "NextToken" not in second


def test_delete_only_when_disabled_and_again_without_complaint(api: Api) -> None:
    room = api("create_resource", Name="room", Type="ROOM")["ResourceId"]
    api("register_to_work_mail", EntityId=room, Email="room@example.test")
    assert api.fails("delete_resource", ResourceId=room) == "EntityStateException"
    api("deregister_from_work_mail", EntityId=room)
    for _ in range(2):
        api("delete_resource", ResourceId=room)
    assert api.fails("describe_resource", ResourceId=room) == "EntityNotFoundException"


def test_the_last_delegate_of_a_resource_that_needs_one_is_not_deleted(api: Api) -> None:
    room = api("create_resource", Name="room", Type="ROOM")["ResourceId"]
    alice = api("create_user", Name="alice", DisplayName="")["UserId"]
    staff = api("create_group", Name="staff")["GroupId"]
    for delegate in (alice, staff):
        api("associate_delegate_to_resource", ResourceId=room, EntityId=delegate)
    api("update_resource", ResourceId=room, BookingOptions={"AutoAcceptRequests": False})
    api("delete_user", UserId=alice)
    assert api.fails("delete_group", GroupId=staff) == "EntityStateException"
    assert api("describe_group", GroupId=staff)["Name"] == "staff"
    api("update_resource", ResourceId=room, BookingOptions={"AutoAcceptRequests": True})
    api("delete_group", GroupId=staff)
    assert api("list_resource_delegates", ResourceId=room) == {"Delegates": []}
