"""Users by boto3."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from postroom.api.operation import Facilities
from postroom.api.settings import Settings
from postroom.model.organizations import Organization
from postroom.policy import passwords
from postroom.storage.engine import Store
from postroom.storage.queries import credentials

from .conftest import Api

PROFILE = {
    "FirstName": "Alice",
    "LastName": "Example",
    "Initials": "AE",
    "Telephone": "+41 31 000 00 00",
    "Street": "Gasse 1",
    "JobTitle": "Director",
    "City": "Bern",
    "Company": "Example",
    "ZipCode": "3000",
    "Department": "Mail",
    "Country": "CH",
    "Office": "12",
}
IDENTITY = "906745df-1b2c-4f3d-9a8b-7c6d5e4f3a2b"


def created(api: Api, name: str = "alice", **params: Any) -> str:
    user_id: str = api("create_user", Name=name, DisplayName=name.title(), **params)["UserId"]
    return user_id


def test_create_register_describe(api: Api) -> None:
    user_id = created(api, FirstName="Alice", LastName="Example", HiddenFromGlobalAddressList=True)
    assert api("describe_user", UserId=user_id) == {
        "UserId": user_id,
        "Name": "alice",
        "DisplayName": "Alice",
        "State": "DISABLED",
        "UserRole": "USER",
        "HiddenFromGlobalAddressList": True,
        "FirstName": "Alice",
        "LastName": "Example",
    }
    api("register_to_work_mail", EntityId=user_id, Email="alice@example.test")
    for reference in (user_id, "ALICE", "alice@example.test"):
        shown = api("describe_user", UserId=reference)
        assert (shown["UserId"], shown["State"], shown["Email"]) == (user_id, "ENABLED", "alice@example.test")
        assert isinstance(shown["EnabledDate"], datetime.datetime)
        assert shown["MailboxProvisionedDate"] == shown["EnabledDate"]
        assert "DisabledDate" not in shown


def test_a_name_is_taken_once(api: Api) -> None:
    created(api)
    assert api.fails("create_user", Name="ALICE", DisplayName="") == "NameAvailabilityException"
    assert api.fails("create_group", Name="Alice") == "NameAvailabilityException"
    assert api.fails("create_user", Name="Administrator", DisplayName="") == "ReservedNameException"


def test_roles(api: Api) -> None:
    for role in ("SYSTEM_USER", "RESOURCE"):
        assert api.fails("create_user", Name="alice", DisplayName="", Role=role) == "InvalidParameterException"
    user_id = created(api, Role="REMOTE_USER")
    assert api("describe_user", UserId=user_id)["UserRole"] == "REMOTE_USER"
    api("update_user", UserId=user_id, Role="USER")
    api("register_to_work_mail", EntityId=user_id, Email="alice@example.test")
    assert api.fails("update_user", UserId=user_id, Role="REMOTE_USER") == "EntityStateException"
    assert api.fails("update_user", UserId=user_id, Role="RESOURCE") == "InvalidParameterException"


def test_passwords_follow_the_rules_and_are_kept_as_hashes(api: Api, store: Store) -> None:
    assert api.fails("create_user", Name="alice", DisplayName="", Password="short1A") == "InvalidPasswordException"
    assert api.fails("describe_user", UserId="alice") == "EntityNotFoundException"
    user_id = created(api, Password="Open-Sesame-1")
    assert api.fails("reset_password", UserId=user_id, Password="alllowercase") == "InvalidPasswordException"
    assert api.fails("reset_password", UserId="nobody-at-all", Password="Open-Sesame-2") == "EntityNotFoundException"
    kept = []
    for password in ("Open-Sesame-1", "Open-Sesame-2"):
        api("reset_password", UserId=user_id, Password=password)
        with store.transaction(api.organization.number) as tx:
            kept.append(credentials.find(tx, user_id) or "")
    assert passwords.verify(kept[1], "Open-Sesame-2")
    assert not passwords.verify(kept[1], "Open-Sesame-1")


def test_update_changes_every_attribute_and_only_what_is_given(api: Api) -> None:
    user_id = created(api)
    api("update_user", UserId="alice", IdentityProviderUserId=IDENTITY, HiddenFromGlobalAddressList=True, **PROFILE)
    assert {name: text for name, text in api("describe_user", UserId=user_id).items() if name in PROFILE} == PROFILE
    api("update_user", UserId=user_id, DisplayName="", City="Basel", Office="", IdentityProviderUserId="")
    shown = api("describe_user", UserId=user_id)
    assert (shown["DisplayName"], shown["City"], shown["HiddenFromGlobalAddressList"]) == ("", "Basel", True)
    assert "Office" not in shown
    assert "IdentityProviderUserId" not in shown
    assert shown["Street"] == PROFILE["Street"]
    assert api.fails("update_user", UserId="nobody") == "EntityNotFoundException"
    assert api.fails("describe_user", UserId="nobody@example.test") == "EntityNotFoundException"


def test_delete_only_when_disabled_and_again_without_complaint(api: Api) -> None:
    user_id = created(api)
    api("register_to_work_mail", EntityId=user_id, Email="alice@example.test")
    assert api.fails("delete_user", UserId=user_id) == "EntityStateException"
    api("deregister_from_work_mail", EntityId=user_id)
    assert api("describe_user", UserId=user_id)["DisabledDate"]
    assert api("delete_user", UserId=user_id) == {}
    assert api("delete_user", UserId=user_id) == {}
    assert api.fails("describe_user", UserId=user_id) == "EntityNotFoundException"
    assert api("list_users")["Users"] == []
    created(api)


def test_list_shows_what_scripts_index(api: Api) -> None:
    user_id = created(api, IdentityProviderUserId=IDENTITY)
    other = created(api, "bob")
    api("register_to_work_mail", EntityId=user_id, Email="alice@example.test")
    answer = api("list_users")
    assert "NextToken" not in answer
    rows = {row["Id"]: row for row in answer["Users"]}
    enabled = rows[user_id].pop("EnabledDate")
    assert isinstance(enabled, datetime.datetime)
    assert rows == {
        user_id: {
            "Id": user_id,
            "Email": "alice@example.test",
            "Name": "alice",
            "DisplayName": "Alice",
            "State": "ENABLED",
            "UserRole": "USER",
            "IdentityProviderUserId": IDENTITY,
        },
        other: {"Id": other, "Name": "bob", "DisplayName": "Bob", "State": "DISABLED", "UserRole": "USER"},
    }


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"UsernamePrefix": "AL"}, ["alan", "alice"]),
        ({"DisplayNamePrefix": "bo"}, ["bob"]),
        ({"PrimaryEmailPrefix": "MAIL-"}, ["alan", "bob"]),
        ({"State": "ENABLED"}, ["alan", "bob"]),
        ({"State": "DISABLED"}, ["alice"]),
        ({"State": "DELETED"}, []),
        ({"IdentityProviderUserIdPrefix": "9067"}, ["alice"]),
        ({}, ["alan", "alice", "bob"]),
    ],
)
def test_list_by_one_filter(api: Api, filters: dict[str, str], names: list[str]) -> None:
    created(api, "alice", IdentityProviderUserId=IDENTITY)
    for name in ("alan", "bob"):
        api("register_to_work_mail", EntityId=created(api, name), Email=f"mail-{name}@example.test")
    assert sorted(user["Name"] for user in api("list_users", Filters=filters)["Users"]) == names


def test_list_by_two_filters_is_refused(api: Api) -> None:
    assert api.fails("list_users", Filters={"UsernamePrefix": "a", "State": "ENABLED"}) == "InvalidParameterException"


def test_pages_hold_while_users_come_and_go(api: Api) -> None:
    made = {created(api, f"user{number}") for number in range(7)}
    seen: list[str] = []
    answer = api("list_users", MaxResults=3, Filters={"State": "DISABLED"})
    while True:
        seen += [user["Id"] for user in answer["Users"]]
        if "NextToken" not in answer:
            break
        assert len(answer["Users"]) == 3
        api("delete_user", UserId=seen[0])
        created(api, f"late{len(seen)}")
        answer = api("list_users", MaxResults=3, NextToken=answer["NextToken"], Filters={"State": "DISABLED"})
    assert len(seen) == len(set(seen))
    assert made <= set(seen)


def test_long_display_names_page_in_any_script(api: Api) -> None:
    made = [created(api, f"user{number}") for number in range(3)]
    name = "\N{GRINNING FACE}" * 256
    for user_id in made:
        api("update_user", UserId=user_id, DisplayName=name)
    seen: list[str] = []
    page: dict[str, str] = {}
    for _ in made:
        answer = api("list_users", Filters={"DisplayNamePrefix": name}, MaxResults=1, **page)
        seen += [user["Id"] for user in answer["Users"]]
        page = {"NextToken": answer.get("NextToken", "")}
    assert page == {"NextToken": ""}
    assert sorted(seen) == sorted(made)


def test_a_token_of_another_list_is_refused(api: Api) -> None:
    for number in range(2):
        created(api, f"user{number}")
    token = api("list_users", MaxResults=1)["NextToken"]
    assert api.fails("list_users", NextToken=token, Filters={"State": "DISABLED"}) == "InvalidParameterException"
    assert api.fails("list_groups", NextToken=token) == "InvalidParameterException"
    assert api.fails("list_users", NextToken="bm9uc2Vuc2U=") == "InvalidParameterException"


def test_an_organization_has_so_many_users(connect: Callable[[Settings], Any], organization: Organization) -> None:
    api = Api(connect(Settings(facilities=Facilities(most_users=2))), organization)
    first = created(api)
    api("create_group", Name="staff")
    created(api, "bob")
    assert api.fails("create_user", Name="carol", DisplayName="") == "InvalidParameterException"
    api("delete_user", UserId=first)
    created(api, "carol")


def test_the_longest_password_and_the_first_too_long(api: Api) -> None:
    created(api, Password="Aa1-" + "x" * 59)
    assert api.fails("create_user", Name="bob", DisplayName="", Password="Aa1-" + "x" * 60) == "InvalidPasswordException"
    created(api, "bob", Password="ÄÖÜ-1234")
