"""Mailbox permissions by boto3."""

from itertools import product

import pytest

from .conftest import Api

FULL, AS, BEHALF = "FULL_ACCESS", "SEND_AS", "SEND_ON_BEHALF"


@pytest.fixture
def ids(api: Api) -> dict[str, str]:
    """Two users, two groups and a room, all registered."""
    made = {name: api("create_user", Name=name, DisplayName=name)["UserId"] for name in ("alice", "bob")}
    made |= {name: api("create_group", Name=name)["GroupId"] for name in ("staff", "board")}
    made["room"] = api("create_resource", Name="room", Type="ROOM")["ResourceId"]
    for name, identifier in made.items():
        api("register_to_work_mail", EntityId=identifier, Email=f"{name}@example.test")
    return made


def granted(api: Api, owner: str) -> dict[str, list[str]]:
    return {one["GranteeId"]: one["PermissionValues"] for one in api("list_mailbox_permissions", EntityId=owner)["Permissions"]}


def test_put_replaces_and_delete_takes_away(api: Api, ids: dict[str, str]) -> None:
    put = {"EntityId": ids["alice"], "GranteeId": ids["bob"]}
    assert api("put_mailbox_permissions", **put, PermissionValues=[BEHALF, FULL, FULL]) == {}
    assert api("list_mailbox_permissions", EntityId=ids["alice"]) == {
        "Permissions": [{"GranteeId": ids["bob"], "GranteeType": "USER", "PermissionValues": [FULL, BEHALF]}]
    }
    api("put_mailbox_permissions", **put, PermissionValues=[AS])
    assert granted(api, "alice") == {ids["bob"]: [AS]}
    assert granted(api, "bob") == {}
    api("put_mailbox_permissions", **put, PermissionValues=[])
    assert granted(api, "alice") == {}
    api("put_mailbox_permissions", **put, PermissionValues=[AS])
    for _ in range(2):
        assert api("delete_mailbox_permissions", **put) == {}
    assert granted(api, "alice") == {}


def test_ids_names_and_addresses_on_both_sides(api: Api, ids: dict[str, str]) -> None:
    for owner, grantee in product((ids["room"], "ROOM", "room@example.test"), (ids["staff"], "Staff", "Staff@Example.test")):
        api("put_mailbox_permissions", EntityId=owner, GranteeId=grantee, PermissionValues=[AS])
        assert granted(api, owner) == {ids["staff"]: [AS]}
        api("delete_mailbox_permissions", EntityId=owner, GranteeId=grantee)
        assert granted(api, "room") == {}


def test_names_may_be_lent_by_and_to_everybody_but_mailboxes_only_by_and_to_those_who_have_one(api: Api, ids: dict[str, str]) -> None:
    for owner, grantee in product(ids, ids):
        both = {"EntityId": owner, "GranteeId": grantee}
        if owner == grantee:
            assert api.fails("put_mailbox_permissions", **both, PermissionValues=[AS]) == "InvalidParameterException"
            continue
        api("put_mailbox_permissions", **both, PermissionValues=[BEHALF, AS])
        full = {**both, "PermissionValues": [FULL, AS]}
        if owner in ("alice", "bob", "room") and grantee in ("alice", "bob"):
            api("put_mailbox_permissions", **full)
        else:
            assert api.fails("put_mailbox_permissions", **full) == "InvalidParameterException"
    for owner in ids:
        kinds = {one["GranteeId"]: one["GranteeType"] for one in api("list_mailbox_permissions", EntityId=owner)["Permissions"]}
        everybody = dict(zip(ids.values(), ("USER", "USER", "GROUP", "GROUP", "RESOURCE"), strict=True))
        assert kinds == {identifier: kind for identifier, kind in everybody.items() if identifier != ids[owner]}


def test_a_mailbox_elsewhere_cannot_be_opened_here(api: Api, ids: dict[str, str]) -> None:
    api("create_user", Name="remote", DisplayName="", Role="REMOTE_USER")
    api("register_to_work_mail", EntityId="remote", Email="remote@example.test")
    both = {"EntityId": "remote", "GranteeId": "alice"}
    assert api.fails("put_mailbox_permissions", **both, PermissionValues=[FULL]) == "InvalidParameterException"
    api("put_mailbox_permissions", **both, PermissionValues=[AS])


def test_who_is_not_there(api: Api, ids: dict[str, str]) -> None:
    for both in ({"EntityId": "nobody", "GranteeId": "alice"}, {"EntityId": "alice", "GranteeId": "nobody"}):
        assert api.fails("put_mailbox_permissions", **both, PermissionValues=[AS]) == "EntityNotFoundException"
        assert api.fails("delete_mailbox_permissions", **both) == "EntityNotFoundException"
    assert api.fails("list_mailbox_permissions", EntityId="nobody") == "EntityNotFoundException"


def test_grants_wait_for_the_deregistered_and_go_with_the_deleted(api: Api, ids: dict[str, str]) -> None:
    for owner, grantee in (("alice", "bob"), ("bob", "alice"), ("alice", "staff")):
        api("put_mailbox_permissions", EntityId=owner, GranteeId=grantee, PermissionValues=[AS])
    api("deregister_from_work_mail", EntityId=ids["bob"])
    for owner, grantee in (("alice", "bob"), ("bob", "alice")):
        assert api.fails("put_mailbox_permissions", EntityId=owner, GranteeId=grantee, PermissionValues=[]) == "EntityStateException"
    assert granted(api, "alice") == {ids["bob"]: [AS], ids["staff"]: [AS]}
    assert granted(api, "bob") == {ids["alice"]: [AS]}
    api("delete_mailbox_permissions", EntityId="bob", GranteeId="alice")
    api("delete_user", UserId=ids["bob"])
    api("deregister_from_work_mail", EntityId=ids["staff"])
    api("delete_group", GroupId=ids["staff"])
    assert granted(api, "alice") == {}


def test_pages(api: Api, ids: dict[str, str]) -> None:
    for grantee in ("bob", "staff", "board", "room"):
        api("put_mailbox_permissions", EntityId="alice", GranteeId=grantee, PermissionValues=[BEHALF])
    first = api("list_mailbox_permissions", EntityId="alice", MaxResults=3)
    second = api("list_mailbox_permissions", EntityId="alice", MaxResults=3, NextToken=first["NextToken"])
    assert (len(first["Permissions"]), len(second["Permissions"]), "NextToken" in second) == (3, 1, False)
    found = [one["GranteeId"] for page in (first, second) for one in page["Permissions"]]
    assert found == sorted(ids[name] for name in ("bob", "staff", "board", "room"))
