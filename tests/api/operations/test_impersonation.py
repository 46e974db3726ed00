"""Impersonation roles by boto3, and the token that EWS is shown."""

import asyncio
import json
import re
from collections.abc import Callable

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from postroom.model import errors
from postroom.model.actors import Client, Protocol
from postroom.policy import bearers
from postroom.policy.iam import access_keys
from postroom.storage.engine import REGISTRY, Store

from .conftest import Api

ALLOW_ALL = {"ImpersonationRuleId": "all", "Effect": "ALLOW"}


@pytest.fixture
def alice(api: Api) -> str:
    user: str = api("create_user", Name="alice", DisplayName="Alice")["UserId"]
    api("register_to_work_mail", EntityId=user, Email="alice@example.test")
    return user


def role(api: Api, *rules: dict[str, object], **params: str) -> str:
    id: str = api("create_impersonation_role", **({"Name": "app", "Type": "FULL_ACCESS", "Rules": list(rules)} | params))[
        "ImpersonationRoleId"
    ]
    return id


def test_create_get_list_update_delete(api: Api, alice: str, clock: Callable[[], float]) -> None:
    rules = [
        {"ImpersonationRuleId": "r-1", "Name": "Alice", "Description": "Only her", "Effect": "ALLOW", "TargetUsers": [alice]},
        {"ImpersonationRuleId": "r_2", "Effect": "DENY", "NotTargetUsers": [alice]},
    ]
    id = role(api, *rules, Description="Reads calendars", Type="READ_ONLY")
    shown = api("get_impersonation_role", ImpersonationRoleId=id)
    made, changed = shown.pop("DateCreated"), shown.pop("DateModified")
    assert shown == {"ImpersonationRoleId": id, "Name": "app", "Type": "READ_ONLY", "Description": "Reads calendars", "Rules": rules}
    assert made == changed
    assert api("list_impersonation_roles")["Roles"] == [
        {"ImpersonationRoleId": id, "Name": "app", "Type": "READ_ONLY", "DateCreated": made, "DateModified": made}
    ]
    clock.now += 60  # type: ignore[attr-defined]
    api("update_impersonation_role", ImpersonationRoleId=id, Name="other", Type="FULL_ACCESS", Rules=[])
    shown = api("get_impersonation_role", ImpersonationRoleId=id)
    assert shown.pop("DateCreated") == made
    assert shown.pop("DateModified") > made
    assert shown == {"ImpersonationRoleId": id, "Name": "other", "Type": "FULL_ACCESS", "Rules": []}
    for _ in range(2):
        api("delete_impersonation_role", ImpersonationRoleId=id)
    assert api("list_impersonation_roles") == {"Roles": []}
    for operation in ("get_impersonation_role", "assume_impersonation_role"):
        assert api.fails(operation, ImpersonationRoleId=id) == "ResourceNotFoundException"
    assert api.fails("get_impersonation_role_effect", ImpersonationRoleId=id, TargetUser=alice) == "ResourceNotFoundException"
    assert (
        api.fails("update_impersonation_role", ImpersonationRoleId=id, Name="a", Type="READ_ONLY", Rules=[]) == "ResourceNotFoundException"
    )


def test_what_rules_may_say(api: Api, alice: str) -> None:
    asleep = api("create_user", Name="asleep", DisplayName="")["UserId"]
    group = api("create_group", Name="staff")["GroupId"]
    id = role(api)
    for user, code in (("nobody", "EntityNotFoundException"), (group, "EntityNotFoundException"), (asleep, "EntityStateException")):
        for member in ("TargetUsers", "NotTargetUsers"):
            new = {"Name": "app", "Type": "READ_ONLY", "Rules": [ALLOW_ALL | {member: [alice, user]}]}
            assert api.fails("create_impersonation_role", **new) == code
            assert api.fails("update_impersonation_role", ImpersonationRoleId=id, **new) == code
    assert api.fails("create_impersonation_role", Name="app", Type="READ_ONLY", Rules=[ALLOW_ALL, ALLOW_ALL]) == "InvalidParameterException"
    assert api("get_impersonation_role", ImpersonationRoleId=id)["Rules"] == []


def test_the_effect_names_the_rules_that_win(api: Api, alice: str) -> None:
    bob = api("create_user", Name="bob", DisplayName="")["UserId"]
    api("register_to_work_mail", EntityId=bob, Email="bob@example.test")
    id = role(api, ALLOW_ALL | {"Name": "Everybody"}, {"ImpersonationRuleId": "no", "Effect": "DENY", "TargetUsers": [alice]})
    for reference in (alice, "alice", "alice@example.test"):
        assert api("get_impersonation_role_effect", ImpersonationRoleId=id, TargetUser=reference) == {
            "Type": "FULL_ACCESS",
            "Effect": "DENY",
            "MatchedRules": [{"ImpersonationRuleId": "no"}],
        }
    shown = api("get_impersonation_role_effect", ImpersonationRoleId=id, TargetUser="bob")
    assert shown == {"Type": "FULL_ACCESS", "Effect": "ALLOW", "MatchedRules": [{"ImpersonationRuleId": "all", "Name": "Everybody"}]}
    shown = api("get_impersonation_role_effect", ImpersonationRoleId=role(api, Type="READ_ONLY"), TargetUser="bob")
    assert shown == {"Type": "READ_ONLY", "Effect": "DENY", "MatchedRules": []}
    assert api.fails("get_impersonation_role_effect", ImpersonationRoleId=id, TargetUser="nobody") == "EntityNotFoundException"
    api("deregister_from_work_mail", EntityId=bob)
    assert api.fails("get_impersonation_role_effect", ImpersonationRoleId=id, TargetUser="bob") == "EntityStateException"


def test_an_organization_has_twenty_roles_listed_page_by_page(api: Api) -> None:
    made = [role(api) for _ in range(20)]
    assert api.fails("create_impersonation_role", Name="app", Type="READ_ONLY", Rules=[]) == "LimitExceededException"
    listed, token = [], {}
    while True:
        answer = api("list_impersonation_roles", MaxResults=7, **token)
        listed += [row["ImpersonationRoleId"] for row in answer["Roles"]]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert listed == sorted(made)
    assert len(api("list_impersonation_roles")["Roles"]) == 20


def test_a_client_token_makes_one_role(api: Api) -> None:
    answers = [api("create_impersonation_role", ClientToken="t", Name="a", Type="READ_ONLY", Rules=[]) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(api("list_impersonation_roles")["Roles"]) == 1


def test_the_token_lets_its_bearer_act(api: Api, alice: str, store: Store) -> None:
    id = role(api, ALLOW_ALL)
    answers = [api("assume_impersonation_role", ImpersonationRoleId=id) for _ in range(2)]
    assert [answer["ExpiresIn"] for answer in answers] == [900, 900]
    assert answers[0]["Token"] != answers[1]["Token"]

    def acts(token: str) -> str:
        client = Client(Protocol.EWS, "192.0.2.1", secure=True)
        return asyncio.run(bearers.admit(store, token, "alice@example.test", client)).user_id

    for answer in answers:
        assert re.fullmatch(r"[\x21-\x7e]{1,256}", answer["Token"])
        assert acts(answer["Token"]) == alice
    api("update_impersonation_role", ImpersonationRoleId=id, Name="app", Type="FULL_ACCESS", Rules=[])
    with pytest.raises(errors.NotPermitted):
        acts(answers[0]["Token"])
    api("delete_impersonation_role", ImpersonationRoleId=id)
    with pytest.raises(errors.SignInFailed):
        acts(answers[0]["Token"])


def test_a_policy_lets_its_owner_assume_one_role(api: Api, store: Store) -> None:
    mine, other = role(api, ALLOW_ALL), role(api, ALLOW_ALL)
    statement = {
        "Effect": "Allow",
        "Action": "workmail:AssumeImpersonationRole",
        "Resource": f"arn:aws:workmail:*:*:organization/{api.organization.id}",
        "Condition": {"StringEquals": {"workmail:ImpersonationRoleId": mine}},
    }
    with store.transaction(REGISTRY) as tx:
        key = access_keys.issue(tx, name="app", policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    client = boto3.client(
        "workmail",
        endpoint_url=api.client.meta.endpoint_url,
        region_name=api.client.meta.region_name,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}),
    )
    assert client.assume_impersonation_role(OrganizationId=api.organization.id, ImpersonationRoleId=mine)["Token"]
    for role_id in (other, "missing"):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            client.assume_impersonation_role(OrganizationId=api.organization.id, ImpersonationRoleId=role_id)
