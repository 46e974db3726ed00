"""The identity provider and personal access tokens by boto3 and by the AWS command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from awscli.clidriver import create_clidriver

from postroom.policy import tokens
from postroom.policy.iam import access_keys
from postroom.storage.engine import REGISTRY, Store

from .conftest import ALLOW_ALL, Api

INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
OTHER = "arn:aws:sso:::instance/ins-fedcba9876543210"
UUID = "0123abcd-0123-0123-0123-0123456789ab"


def application(api: Api, instance: str = INSTANCE, name: str = "mail") -> str:
    arn: str = api.client.create_identity_center_application(Name=name, InstanceArn=instance)["ApplicationArn"]
    return arn


def configuration(arn: str, instance: str = INSTANCE, mode: str = "IDENTITY_PROVIDER_ONLY", **tokens: Any) -> dict[str, Any]:
    return {
        "AuthenticationMode": mode,
        "IdentityCenterConfiguration": {"InstanceArn": instance, "ApplicationArn": arn},
        "PersonalAccessTokenConfiguration": tokens or {"Status": "ACTIVE"},
    }


def put(api: Api, arn: str, **other: Any) -> dict[str, Any]:
    asked = configuration(arn, **other)
    assert api("put_identity_provider_configuration", **asked) == {}
    return asked


def hire(api: Api, name: str, **more: str) -> str:
    user: str = api("create_user", Name=name, DisplayName=name, **more)["UserId"]
    api("register_to_work_mail", EntityId=user, Email=f"{name}@example.test")
    return user


def make(api: Api, store: Store, user: str, **more: Any) -> str:
    with store.transaction(api.organization.number) as tx:
        return tokens.create(tx, user, name="phone", **more)[0].id


# Applications


@pytest.mark.parametrize("instance", [INSTANCE, OTHER, "arn:aws-us-gov:sso:::instance/ssoins-0123456789.bcde-"])
def test_an_application_is_of_the_account_and_the_instance(api: Api, instance: str) -> None:
    arn = application(api, instance)
    partition, name = instance.split(":")[1], instance.partition("/")[2]
    assert re.fullmatch(rf"arn:{partition}:sso::\d{{12}}:application/{re.escape(name)}/apl-[0-9a-f]{{16}}", arn)
    assert application(api, instance) != arn


def test_there_are_only_so_many_applications(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postroom.directory.identity_center.MOST_APPLICATIONS", 1)
    arn = application(api)
    refused = {"Name": "mail", "InstanceArn": INSTANCE}
    with pytest.raises(api.client.exceptions.InvalidParameterException):
        api.client.create_identity_center_application(**refused)
    for _ in range(2):
        api.client.delete_identity_center_application(ApplicationArn=arn)
    application(api)


# Configuration


def test_a_configuration_comes_back_as_it_was_put(api: Api) -> None:
    assert api.fails("describe_identity_provider_configuration") == "ResourceNotFoundException"
    arn = application(api)
    for mode, given in (
        ("IDENTITY_PROVIDER_ONLY", {"Status": "ACTIVE", "LifetimeInDays": 3653}),
        ("IDENTITY_PROVIDER_AND_DIRECTORY", {"Status": "INACTIVE"}),
        ("IDENTITY_PROVIDER_ONLY", {"Status": "ACTIVE", "LifetimeInDays": 1}),
    ):
        asked = put(api, arn, mode=mode, **given)
        assert api("describe_identity_provider_configuration") == asked
    for _ in range(2):
        assert api("delete_identity_provider_configuration") == {}
    assert api.fails("describe_identity_provider_configuration") == "ResourceNotFoundException"


def test_the_application_has_to_be_known_and_of_the_instance(api: Api) -> None:
    arn, other = application(api), application(api, OTHER)
    unknown = arn[:-1] + ("0" if arn[-1] != "0" else "1")
    for wrong, instance in ((unknown, INSTANCE), (other, INSTANCE), (arn, OTHER)):
        refused = api.fails("put_identity_provider_configuration", **configuration(wrong, instance))
        assert refused == "ResourceNotFoundException"
    assert api.fails("describe_identity_provider_configuration") == "ResourceNotFoundException"


def test_an_application_deleted_leaves_the_organization_as_it_was(api: Api) -> None:
    arn = application(api)
    asked = put(api, arn)
    api.client.delete_identity_center_application(ApplicationArn=arn)
    assert api("describe_identity_provider_configuration") == asked
    assert api.fails("put_identity_provider_configuration", **asked) == "ResourceNotFoundException"


@pytest.mark.effect("DeleteOrganization")
@pytest.mark.parametrize("flag", [False, True])
def test_an_organization_takes_its_application_along_if_asked_to(api: Api, flag: bool) -> None:
    arn = application(api)
    put(api, arn)
    other = api.client.create_organization(Alias="other")["OrganizationId"]
    api("delete_organization", DeleteDirectory=True, ForceDelete=True, DeleteIdentityCenterApplication=flag)
    ask = api.client.put_identity_provider_configuration
    if flag:
        with pytest.raises(api.client.exceptions.ResourceNotFoundException):
            ask(OrganizationId=other, **configuration(arn))
    else:
        ask(OrganizationId=other, **configuration(arn))


@pytest.mark.effect("PutIdentityProviderConfiguration", "DeleteIdentityProviderConfiguration")
def test_users_are_shown_with_their_identity_store_while_there_is_a_provider(api: Api) -> None:
    def stores() -> list[str | None]:
        listed = {user["Name"]: user.get("IdentityProviderIdentityStoreId") for user in api("list_users")["Users"]}
        described = {name: api("describe_user", UserId=name).get("IdentityProviderIdentityStoreId") for name in ("ann", "bob", "cat")}
        assert described == {name: listed[name] for name in described}
        return list(described.values())

    hire(api, "ann", IdentityProviderUserId=f"90670a1b2c-{UUID}")
    hire(api, "bob", IdentityProviderUserId=UUID)
    hire(api, "cat")
    assert stores() == [None] * 3
    put(api, application(api))
    assert stores() == ["d-90670a1b2c", None, None]
    assert api("describe_user", UserId="bob")["IdentityProviderUserId"] == UUID
    api("delete_identity_provider_configuration")
    assert stores() == [None] * 3


# Tokens


def test_tokens_are_listed_shown_and_deleted(api: Api, store: Store) -> None:
    put(api, application(api), Status="ACTIVE", LifetimeInDays=30)
    ann, bob = hire(api, "ann"), hire(api, "bob")
    one, other = make(api, store, ann, scopes=["IMAP", "SMTP"]), make(api, store, bob, days=1)
    shown = api("get_personal_access_token_metadata", PersonalAccessTokenId=one)
    created = shown.pop("DateCreated")
    assert round((shown.pop("ExpiresTime") - created).total_seconds()) == 30 * 86_400
    assert shown == {"PersonalAccessTokenId": one, "UserId": ann, "Name": "phone", "Scopes": ["IMAP", "SMTP"]}
    assert {row["PersonalAccessTokenId"] for row in api("list_personal_access_tokens")["PersonalAccessTokenSummaries"]} == {one, other}
    for reference in (bob, "bob", "bob@example.test"):
        (row,) = api("list_personal_access_tokens", UserId=reference)["PersonalAccessTokenSummaries"]
        assert (row["PersonalAccessTokenId"], row["Scopes"]) == (other, ["All"])
    for _ in range(2):
        assert api("delete_personal_access_token", PersonalAccessTokenId=one) == {}
    assert api.fails("get_personal_access_token_metadata", PersonalAccessTokenId=one) == "ResourceNotFoundException"
    assert api("list_personal_access_tokens", UserId="ann")["PersonalAccessTokenSummaries"] == []
    assert api.fails("list_personal_access_tokens", UserId="nobody") == "EntityNotFoundException"


def test_tokens_of_other_organizations_are_not_there(api: Api, store: Store) -> None:
    put(api, application(api))
    token = make(api, store, hire(api, "ann"))
    other = api.client.create_organization(Alias="other")["OrganizationId"]
    with pytest.raises(api.client.exceptions.ResourceNotFoundException):
        api.client.get_personal_access_token_metadata(OrganizationId=other, PersonalAccessTokenId=token)
    api.client.delete_personal_access_token(OrganizationId=other, PersonalAccessTokenId=token)
    assert api.client.list_personal_access_tokens(OrganizationId=other)["PersonalAccessTokenSummaries"] == []
    api("get_personal_access_token_metadata", PersonalAccessTokenId=token)


# The AWS command line


@pytest.fixture
def aws(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command; gives what it prints."""
    with store.transaction(REGISTRY) as tx:
        key = access_keys.issue(tx, name="cli", policy=ALLOW_ALL)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
    meta = api.client.meta

    def run(*words: str) -> Any:
        where = ["--endpoint-url", meta.endpoint_url, "--region", meta.region_name, "--output", "json"]
        code = create_clidriver().main([*where, "workmail", *words])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out) if printed.out.strip() else None

    return run


@pytest.mark.effect(
    "CreateIdentityCenterApplication",
    "DeleteIdentityCenterApplication",
    "PutIdentityProviderConfiguration",
    "DescribeIdentityProviderConfiguration",
    "DeleteIdentityProviderConfiguration",
    "ListPersonalAccessTokens",
    "GetPersonalAccessTokenMetadata",
    "DeletePersonalAccessToken",
)
def test_the_command_line_from_the_application_to_the_last_token(aws: Callable[..., Any], api: Api, store: Store) -> None:
    here = ("--organization-id", api.organization.id)
    arn = aws("create-identity-center-application", "--name", "WorkMail", "--instance-arn", INSTANCE)["ApplicationArn"]
    aws(
        *("put-identity-provider-configuration", *here),
        *("--authentication-mode", "IDENTITY_PROVIDER_AND_DIRECTORY"),
        *("--identity-center-configuration", f"InstanceArn={INSTANCE},ApplicationArn={arn}"),
        *("--personal-access-token-configuration", "Status=ACTIVE,LifetimeInDays=365"),
    )
    described = aws("describe-identity-provider-configuration", *here)
    assert described == configuration(arn, mode="IDENTITY_PROVIDER_AND_DIRECTORY", Status="ACTIVE", LifetimeInDays=365)
    ann = hire(api, "ann")
    made = [make(api, store, ann) for _ in range(3)]
    listed = aws("list-personal-access-tokens", *here, "--user-id", "ann", "--page-size", "1")["PersonalAccessTokenSummaries"]
    assert [row["PersonalAccessTokenId"] for row in listed] == sorted(made)
    assert aws("get-personal-access-token-metadata", *here, "--personal-access-token-id", made[0])["UserId"] == ann
    for token in made:
        aws("delete-personal-access-token", *here, "--personal-access-token-id", token)
    assert aws("list-personal-access-tokens", *here)["PersonalAccessTokenSummaries"] == []
    aws("delete-identity-provider-configuration", *here)
    aws("delete-identity-center-application", "--application-arn", arn)
    assert api.fails("describe_identity_provider_configuration") == "ResourceNotFoundException"
