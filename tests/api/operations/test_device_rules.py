"""Mobile device access rules and overrides by boto3."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from postroom.policy import device_rules
from postroom.policy.device_rules import Device
from postroom.storage.engine import Store

from .conftest import Api

DEFAULT = {
    "MobileDeviceAccessRuleId": "default",
    "Name": "default",
    "Description": "Default WorkMail Rule",
    "Effect": "ALLOW",
    "DateCreated": datetime.fromtimestamp(0, UTC),
    "DateModified": datetime.fromtimestamp(0, UTC),
}
LISTS = {
    "DeviceTypes": ["iPhone", "iPad"],
    "NotDeviceTypes": ["Android"],
    "DeviceModels": ["iPhone10"],
    "NotDeviceModels": ["iPhone10C2"],
    "DeviceOperatingSystems": ["iOS 12"],
    "NotDeviceOperatingSystems": ["iOS 12.1"],
    "DeviceUserAgents": ["Apple-", "$NONE"],
    "NotDeviceUserAgents": ["Apple-iPad"],
}


@pytest.fixture
def alice(api: Api) -> str:
    user: str = api("create_user", Name="alice", DisplayName="Alice")["UserId"]
    api("register_to_work_mail", EntityId=user, Email="alice@example.test")
    return user


def test_a_new_organization_has_the_default_rule(api: Api) -> None:
    made = api.client.create_organization(Alias="brand-new")["OrganizationId"]
    for organization in (made, api.organization.id):
        assert api.client.list_mobile_device_access_rules(OrganizationId=organization)["Rules"] == [DEFAULT]


def test_create_list_update_delete(api: Api, clock: Callable[[], float]) -> None:
    rule_id = api("create_mobile_device_access_rule", Name="Some phones", Description="Of ours", Effect="DENY", **LISTS)[
        "MobileDeviceAccessRuleId"
    ]
    default, shown = api("list_mobile_device_access_rules")["Rules"]
    made, changed = shown.pop("DateCreated"), shown.pop("DateModified")
    assert default == DEFAULT
    assert shown == {"MobileDeviceAccessRuleId": rule_id, "Name": "Some phones", "Description": "Of ours", "Effect": "DENY"} | LISTS
    assert made == changed

    clock.now += 60  # type: ignore[attr-defined]
    api("update_mobile_device_access_rule", MobileDeviceAccessRuleId=rule_id, Name="All", Effect="ALLOW")
    shown = api("list_mobile_device_access_rules")["Rules"][1]
    assert shown.pop("DateCreated") == made
    assert shown.pop("DateModified") > made
    assert shown == {"MobileDeviceAccessRuleId": rule_id, "Name": "All", "Effect": "ALLOW"}
    for _ in range(2):
        api("delete_mobile_device_access_rule", MobileDeviceAccessRuleId=rule_id)
    assert api("list_mobile_device_access_rules")["Rules"] == [DEFAULT]
    assert (
        api.fails("update_mobile_device_access_rule", MobileDeviceAccessRuleId=rule_id, Name="a", Effect="ALLOW")
        == "EntityNotFoundException"
    )


def test_the_effect_names_the_rules_that_win(api: Api) -> None:
    android = api("create_mobile_device_access_rule", Name="BlockAllAndroid", Effect="DENY", DeviceTypes=["Android"])[
        "MobileDeviceAccessRuleId"
    ]

    def effect(**device: str) -> tuple[str, list[str]]:
        answer = api("get_mobile_device_access_effect", **device)
        return answer["Effect"], [rule["Name"] for rule in answer["MatchedRules"]]

    assert api("get_mobile_device_access_effect", DeviceType="android 8", DeviceUserAgent="Android-Mail/7") == {
        "Effect": "DENY",
        "MatchedRules": [{"MobileDeviceAccessRuleId": android, "Name": "BlockAllAndroid"}],
    }
    assert effect(DeviceType="iPhone") == ("ALLOW", ["default"])
    assert effect() == ("ALLOW", ["default"])
    api("create_mobile_device_access_rule", Name="Old", Effect="DENY", DeviceOperatingSystems=["Android 8"], DeviceModels=["HTC"])
    assert effect(DeviceType="Android", DeviceOperatingSystem="Android 8.1.0", DeviceModel="HTCOneX") == (
        "DENY",
        ["BlockAllAndroid", "Old"],
    )
    api("delete_mobile_device_access_rule", MobileDeviceAccessRuleId="default")
    assert effect(DeviceType="iPhone") == ("DENY", [])


def test_an_organization_has_ten_rules(api: Api) -> None:
    made = [api("create_mobile_device_access_rule", Name="same name", Effect="ALLOW")["MobileDeviceAccessRuleId"] for _ in range(9)]
    assert len(set(made)) == 9
    assert api.fails("create_mobile_device_access_rule", Name="one more", Effect="ALLOW") == "LimitExceededException"
    assert len(api("list_mobile_device_access_rules")["Rules"]) == 10
    assert len(api("get_mobile_device_access_effect")["MatchedRules"]) == 10
    api("delete_mobile_device_access_rule", MobileDeviceAccessRuleId=made[0])
    api("create_mobile_device_access_rule", Name="in its place", Effect="ALLOW")


def test_a_client_token_makes_one_rule(api: Api) -> None:
    answers = [api("create_mobile_device_access_rule", ClientToken="t", Name="a", Effect="ALLOW") for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(api("list_mobile_device_access_rules")["Rules"]) == 2


def test_put_get_delete_override(api: Api, alice: str, clock: Callable[[], float]) -> None:
    api("put_mobile_device_access_override", UserId="alice", DeviceId="ApplF123", Effect="DENY", Description="Lost")
    shown = api("get_mobile_device_access_override", UserId="alice@example.test", DeviceId="applf123")
    made, changed = shown.pop("DateCreated"), shown.pop("DateModified")
    assert shown == {"UserId": alice, "DeviceId": "ApplF123", "Effect": "DENY", "Description": "Lost"}
    assert made == changed
    clock.now += 60  # type: ignore[attr-defined]
    api("put_mobile_device_access_override", UserId=alice, DeviceId="APPLF123", Effect="ALLOW")
    shown = api("get_mobile_device_access_override", UserId=alice, DeviceId="ApplF123")
    assert shown.pop("DateCreated") == made
    assert shown.pop("DateModified") > made
    assert shown == {"UserId": alice, "DeviceId": "APPLF123", "Effect": "ALLOW"}
    assert len(api("list_mobile_device_access_overrides")["Overrides"]) == 1
    for _ in range(2):
        api("delete_mobile_device_access_override", UserId=alice, DeviceId="aPPLf123")
    assert api.fails("get_mobile_device_access_override", UserId=alice, DeviceId="ApplF123") == "ResourceNotFoundException"


def test_whose_overrides(api: Api, alice: str) -> None:
    device = {"DeviceId": "A1"}
    api("create_user", Name="asleep", DisplayName="")
    group = api("create_group", Name="staff")["GroupId"]
    for user in ("nobody", group):
        for operation in (
            "get_mobile_device_access_override",
            "delete_mobile_device_access_override",
            "list_mobile_device_access_overrides",
        ):
            assert api.fails(operation, UserId=user, **device) == "EntityNotFoundException"
        assert api.fails("put_mobile_device_access_override", UserId=user, Effect="ALLOW", **device) == "EntityNotFoundException"
    assert api.fails("put_mobile_device_access_override", UserId="asleep", Effect="ALLOW", **device) == "EntityStateException"
    assert api.fails("get_mobile_device_access_override", UserId="asleep", **device) == "ResourceNotFoundException"


def test_overrides_are_listed_by_user_by_device_and_page_by_page(api: Api, alice: str) -> None:
    bob = api("create_user", Name="bob", DisplayName="")["UserId"]
    api("register_to_work_mail", EntityId=bob, Email="bob@example.test")
    for user, devices in ((alice, ("B2", "a1", "C3")), (bob, ("A1", "d4"))):
        for device in devices:
            api("put_mobile_device_access_override", UserId=user, DeviceId=device, Effect="DENY")

    def listed(**filters: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        token: dict[str, str] = {}
        while True:
            answer = api("list_mobile_device_access_overrides", MaxResults=2, **filters, **token)
            assert len(answer["Overrides"]) <= 2
            found += [(row["UserId"], row["DeviceId"]) for row in answer["Overrides"]]
            if "NextToken" not in answer:
                return found
            token = {"NextToken": answer["NextToken"]}

    hers, his = [(alice, "a1"), (alice, "B2"), (alice, "C3")], [(bob, "A1"), (bob, "d4")]
    assert listed() == (hers + his if alice < bob else his + hers)
    assert listed(UserId="alice") == hers
    assert sorted(listed(DeviceId="a1")) == sorted([(alice, "a1"), (bob, "A1")])
    assert listed(UserId=bob, DeviceId="D4") == [(bob, "d4")]
    assert listed(UserId=bob, DeviceId="C3") == []
    api("deregister_from_work_mail", EntityId=alice)
    assert listed(UserId="alice") == hers
    api("delete_user", UserId=alice)
    assert listed() == his


def test_the_servers_decide_by_what_the_api_wrote(api: Api, alice: str, store: Store) -> None:
    def admitted(device_id: str) -> bool:
        with store.transaction(api.organization.number, write=False) as tx:
            return device_rules.admit(tx, alice, device_id, Device("iPhone", "iPhone10C1")).allowed

    assert admitted("A1")
    api("put_mobile_device_access_override", UserId=alice, DeviceId="A1", Effect="DENY")
    assert (admitted("a1"), admitted("B2")) == (False, True)
    api("update_mobile_device_access_rule", MobileDeviceAccessRuleId="default", Name="DefaultDenyAll", Effect="DENY")
    api("put_mobile_device_access_override", UserId=alice, DeviceId="B2", Effect="ALLOW")
    assert (admitted("a1"), admitted("b2"), admitted("C3")) == (False, True, False)
    assert api("get_mobile_device_access_effect", DeviceType="iPhone")["Effect"] == "DENY"
