"""Permission over HTTP: whose policy allows what, and how a refusal reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from postroom.api.operation import OPERATIONS
from postroom.directory import organizations
from postroom.storage.engine import REGISTRY
from tests.api.conftest import ACCOUNT, REGION, Gate


def document(*statements: dict[str, Any]) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "workmail:*", "Resource": "*"} | entry for entry in statements],
        }
    )


def arn(organization_id: str) -> str:
    return f"arn:aws:workmail:{REGION}:{ACCOUNT}:organization/{organization_id}"


def allowed(client: Any, organization_id: str) -> bool:
    try:
        client.list_users(OrganizationId=organization_id)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return False
    return True


def test_what_no_statement_allows(gate: Gate, organization_id: str) -> None:
    client = gate.client(gate.issue(document({"Action": "workmail:List*"}), name="reader"))
    assert client.list_users(OrganizationId=organization_id)["Users"] == []
    with pytest.raises(ClientError) as caught:
        client.create_user(OrganizationId=organization_id, Name="a", DisplayName="a")
    assert caught.value.response["Error"] == {
        "Code": "AccessDeniedException",
        "Message": f"User: arn:aws:iam::{ACCOUNT}:user/reader is not authorized to perform: workmail:CreateUser on resource: "
        f"{arn(organization_id)} because no identity-based policy allows the workmail:CreateUser action",
    }


def test_what_a_statement_denies(gate: Gate, organization_id: str) -> None:
    client = gate.client(gate.issue(document({}, {"Effect": "Deny", "Action": "workmail:DeleteOrganization"}), name="careful"))
    with pytest.raises(ClientError) as caught:
        client.delete_organization(OrganizationId=organization_id, DeleteDirectory=True)
    assert caught.value.response["Error"]["Message"] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/careful is not authorized to perform: workmail:DeleteOrganization on resource: "
        f"{arn(organization_id)} with an explicit deny in an identity-based policy"
    )


def test_one_organization_only(gate: Gate) -> None:
    mine, other = gate.organization_of("mine"), gate.organization_of("other")
    client = gate.client(gate.issue(document({"Resource": arn(mine)})))
    assert allowed(client, mine)
    assert not allowed(client, other)
    client.tag_resource(ResourceARN=arn(mine), Tags=[{"Key": "a", "Value": "b"}])
    for call in (
        lambda: client.list_tags_for_resource(ResourceARN=arn(other)),
        client.list_organizations,
        lambda: client.create_organization(Alias="third"),
    ):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            call()


def test_no_operation_reaches_another_organization(gate: Gate) -> None:
    mine, other = gate.organization_of("mine"), gate.organization_of("other")
    key = gate.issue(document({"Resource": arn(mine)}))
    for name in OPERATIONS:
        for identifier in (other, f"m-{'0' * 32}", f"{mine}/", f"{mine}0"):
            reply = gate.call(name, {"OrganizationId": identifier, "ResourceARN": arn(identifier)}, key)
            assert (name, reply.code) == (name, "AccessDeniedException")


def test_listing_organizations_is_about_everything(gate: Gate) -> None:
    client = gate.client(gate.issue(document({"Action": "workmail:CreateOrganization"}), name="maker"))
    with pytest.raises(ClientError, match=r"perform: workmail:ListOrganizations on resource: \* because"):
        client.list_organizations()
    assert client.create_organization(Alias="example")["OrganizationId"]


@pytest.mark.effect("TagResource", "UntagResource")
def test_by_the_tags_of_the_organization(gate: Gate, organization_id: str) -> None:
    key = gate.issue(document({"Condition": {"StringEquals": {"aws:ResourceTag/team": "mail"}}}))
    client = gate.client(key)
    assert not allowed(client, organization_id)
    gate.workmail.tag_resource(ResourceARN=arn(organization_id), Tags=[{"Key": "team", "Value": "mail"}])
    assert allowed(client, organization_id)
    gate.workmail.untag_resource(ResourceARN=arn(organization_id), TagKeys=["team"])
    assert not allowed(client, organization_id)
    assert not allowed(client, f"m-{'0' * 32}")


def test_one_that_another_process_deleted_has_no_tags(gate: Gate, organization_id: str) -> None:
    client = gate.client(gate.issue(document({"Condition": {"StringEquals": {"aws:ResourceTag/team": "mail"}}})))
    gate.workmail.list_users(OrganizationId=organization_id)
    with gate.store.transaction(REGISTRY, write=False) as tx:
        known = organizations.get(tx, organization_id)
    organizations.delete(gate.store, known, force=True)
    assert not allowed(client, organization_id)


def test_no_organization_has_a_nul_in_its_id(gate: Gate) -> None:
    key = gate.issue(document({"Condition": {"StringEquals": {"aws:ResourceTag/team": "mail"}}}))
    assert gate.call("ListUsers", {"OrganizationId": "m-\0"}, key).code == "AccessDeniedException"
    assert gate.call("ListUsers", {"OrganizationId": "m-\0"}).code == "ValidationException"


def test_by_the_tags_of_the_request(gate: Gate, organization_id: str) -> None:
    conditions = {"StringEquals": {"aws:RequestTag/team": "mail"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "owner"]}}
    client = gate.client(gate.issue(document({"Condition": conditions})))
    client.tag_resource(ResourceARN=arn(organization_id), Tags=[{"Key": "team", "Value": "mail"}])
    for tags in ([{"Key": "team", "Value": "web"}], [{"Key": "team", "Value": "mail"}, {"Key": "cost", "Value": "1"}]):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            client.tag_resource(ResourceARN=arn(organization_id), Tags=tags)


def test_by_the_tags_that_are_taken_away(gate: Gate, organization_id: str) -> None:
    client = gate.client(gate.issue(document({"Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}})))
    client.untag_resource(ResourceARN=arn(organization_id), TagKeys=["team"])
    with pytest.raises(ClientError, match="AccessDeniedException"):
        client.untag_resource(ResourceARN=arn(organization_id), TagKeys=["team", "owner"])


@pytest.mark.parametrize("names", [("TEAM", "team"), ("team", "TEAM")])
def test_of_tags_that_differ_by_case_alone_none_counts(gate: Gate, organization_id: str, names: tuple[str, str]) -> None:
    tags = [{"Key": names[0], "Value": "web"}, {"Key": names[1], "Value": "mail"}]
    for key in ("aws:RequestTag/team", "aws:ResourceTag/team"):
        for value in ("web", "mail"):
            client = gate.client(gate.issue(document({"Condition": {"StringEquals": {key: value}}})))
            with pytest.raises(ClientError, match="AccessDeniedException"):
                client.tag_resource(ResourceARN=arn(organization_id), Tags=tags)
        gate.workmail.tag_resource(ResourceARN=arn(organization_id), Tags=tags)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, False),
        ({"NumericGreaterThan": {"aws:EpochTime": "1500000000"}}, True),
        ({"StringEquals": {"aws:username": "someone"}}, True),
        ({"StringEquals": {"aws:username": "someone else"}}, False),
        ({"StringLike": {"aws:userid": "AIDA*"}}, True),
        ({"Null": {"aws:TokenIssueTime": "true"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/some*"}}, True),
        ({"Bool": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}, True),
        ({"Null": {"workmail:ImpersonationRoleId": "true"}}, True),
        ({"StringLike": {"aws:UserAgent": "*oto3*"}}, True),
    ],
)
def test_by_circumstances(gate: Gate, organization_id: str, condition: dict[str, Any], expected: bool) -> None:
    key = gate.issue(document({"Condition": condition}), name="someone")
    assert allowed(gate.client(key), organization_id) is expected


@pytest.mark.parametrize(
    ("operation", "service", "params"),
    [
        ("put_email_monitoring_configuration", "events", {"LogGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:mail:*"}),
        (
            "start_mailbox_export_job",
            "export",
            {"EntityId": "nobody", "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1", "S3BucketName": "b", "S3Prefix": "p"},
        ),
    ],
)
def test_a_role_has_to_be_passed(gate: Gate, organization_id: str, operation: str, service: str, params: dict[str, str]) -> None:
    """Whoever may not pass a role cannot have the server act under it."""
    own, other = "arn:aws:iam::123456789012:role/workmail-own", "arn:aws:iam::123456789012:role/other"
    only = {"StringEquals": {"iam:PassedToService": f"{service}.workmail.amazonaws.com"}}

    def outcome(role: str, *statements: dict[str, Any]) -> str:
        client = gate.client(gate.issue(document({}, *statements)))
        try:
            getattr(client, operation)(OrganizationId=organization_id, RoleArn=role, **params)
        except ClientError as error:
            return str(error.response["Error"]["Message"]).partition(" is not authorized to perform: ")[2]
        return ""

    refused = f"iam:PassRole on resource: {own} because no identity-based policy allows the iam:PassRole action"
    passing = {"Action": "iam:PassRole", "Resource": own}
    assert outcome(own) == refused
    assert outcome(own, passing | {"Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}) == refused
    assert outcome(other, passing) == refused.replace(own, other)
    for statement in (passing, passing | {"Condition": only}):
        assert outcome(own, statement) == ""
