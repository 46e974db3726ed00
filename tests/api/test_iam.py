"""Users, keys, roles and policies through `iam`: real boto3, and what they then may do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from postroom.api.model import load
from postroom.api.operation import SERVICES
from tests.api.conftest import ACCOUNT, REGION, SESSION, Gate

POLICY: dict[str, Any] = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "workmail:*", "Resource": "*"}]}
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}],
}


TWICE = '{"Statement": [{"Effect": "Deny", "Effect": "Allow", "Principal": "*", "Action": "sts:*"}]}'
"""What it says depends on who reads it."""
COMMON = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "InvalidAction",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "ValidationError",
}


def statement(**parts: Any) -> str:
    """Write a policy with one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [POLICY["Statement"][0] | parts]})


def code(call: Callable[..., Any], status: int, **params: Any) -> str:
    """Give the code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["ResponseMetadata"]["RequestId"]
    found: str = caught.value.response["Error"]["Code"]
    model = getattr(call, "__self__").meta.service_model  # noqa: B009
    declared = {
        shape.metadata.get("error", {}).get("code", shape.name)
        for name in model.operation_names
        for shape in model.operation_model(name).error_shapes
    }
    assert found in declared | COMMON
    return found


def client(gate: Gate, service: str, credentials: dict[str, Any] | None = None, region: str = REGION) -> Any:
    """Make a client of a service, for the administrator or with the credentials of a session or a new key."""
    given = credentials or {"AccessKeyId": gate.key.id, "SecretAccessKey": gate.key.secret}
    return SESSION.client(
        service,
        region_name=region,
        endpoint_url=gate.url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


@pytest.fixture
def iam(gate: Gate) -> Any:
    return client(gate, "iam")


def test_the_documentation_lists_what_is_offered() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
    named = set(re.findall(r"`(\w+)`", page.partition("## IAM and STS")[2].partition("Permission is decided")[0]))
    roles = {name.replace("User", "Role") for name in named if "UserPolic" in name}
    assert named | roles == {*SERVICES["iam"], *SERVICES["sts"], "InvalidAction", "sts", "iam"}


def test_every_operation_is_in_the_model() -> None:
    for service in ("iam", "sts"):
        assert SERVICES[service].keys() <= load(service).operations.keys()


class TestUsers:
    def test_a_life(self, gate: Gate, iam: Any) -> None:
        made = iam.create_user(UserName="Ann", Path="/team/mail/")["User"]
        assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/mail/Ann"
        assert re.fullmatch("AIDA[A-Z2-7]{16}", made["UserId"])
        assert made["CreateDate"].timestamp() == pytest.approx(gate.store.now(), abs=30)
        assert iam.get_user(UserName="Ann")["User"] == made
        assert code(iam.create_user, 409, UserName="ann") == "EntityAlreadyExists"
        assert code(iam.get_user, 404, UserName="ann") == "NoSuchEntity"
        iam.create_access_key(UserName="Ann")
        assert code(iam.delete_user, 409, UserName="Ann") == "DeleteConflict"
        iam.delete_access_key(UserName="Ann", AccessKeyId=iam.list_access_keys(UserName="Ann")["AccessKeyMetadata"][0]["AccessKeyId"])
        iam.delete_user(UserName="Ann")
        assert code(iam.delete_user, 404, UserName="Ann") == "NoSuchEntity"

    def test_without_a_name_it_is_the_caller(self, iam: Any) -> None:
        assert iam.get_user()["User"]["UserName"] == "admin"
        assert [key["UserName"] for key in iam.list_access_keys()["AccessKeyMetadata"]] == ["admin"]

    def test_pages_and_paths(self, iam: Any) -> None:
        for name in ("a", "B", "c", "d"):
            iam.create_user(UserName=name, Path="/team/" if name in "Bd" else "/")
        first = iam.list_users(MaxItems=2)
        assert ([user["UserName"] for user in first["Users"]], first["IsTruncated"]) == (["a", "admin"], True)
        rest = iam.list_users(MaxItems=5, Marker=first["Marker"])
        assert ([user["UserName"] for user in rest["Users"]], rest["IsTruncated"], "Marker" in rest) == (["B", "c", "d"], False, False)
        pages = iam.get_paginator("list_users").paginate(PathPrefix="/team/", PaginationConfig={"PageSize": 1})
        assert [user["UserName"] for page in pages for user in page["Users"]] == ["B", "d"]
        assert code(iam.list_users, 400, Marker="x") == "ValidationError"

    def test_what_is_not_supported_is_refused(self, iam: Any) -> None:
        assert code(iam.create_user, 400, UserName="a", Tags=[{"Key": "a", "Value": "b"}]) == "ValidationError"
        assert code(iam.create_group, 400, GroupName="a") == "InvalidAction"

    def test_the_model_is_asked(self, iam: Any) -> None:
        with pytest.raises(ClientError, match="1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint"):
            iam.create_user(UserName="a b")
        assert code(iam.list_users, 400, PathPrefix="nothing") == "ValidationError"


class TestKeys:
    def test_a_life(self, gate: Gate, iam: Any, organization_id: str) -> None:
        iam.create_user(UserName="ann")
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        assert (key["UserName"], key["Status"]) == ("ann", "Active")
        workmail = client(gate, "workmail", key)
        assert code_of(workmail) == "AccessDeniedException"
        iam.put_user_policy(UserName="ann", PolicyName="mail", PolicyDocument=json.dumps(POLICY))
        assert workmail.list_users(OrganizationId=organization_id)["Users"] == []
        iam.update_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
        assert code_of(workmail) == "UnrecognizedClientException"
        assert code(client(gate, "sts", key).get_caller_identity, 403) == "InvalidClientTokenId"
        iam.update_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Active")
        assert workmail.list_users(OrganizationId=organization_id)["Users"] == []
        iam.delete_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"])
        assert code_of(workmail) == "UnrecognizedClientException"

    def test_two_at_most(self, iam: Any) -> None:
        iam.create_user(UserName="ann")
        made = {iam.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"] for _ in range(2)}
        assert code(iam.create_access_key, 409, UserName="ann") == "LimitExceeded"
        first = iam.list_access_keys(UserName="ann", MaxItems=1)
        rest = iam.list_access_keys(UserName="ann", MaxItems=1, Marker=first["Marker"])
        assert {key["AccessKeyId"] for page in (first, rest) for key in page["AccessKeyMetadata"]} == made
        assert not rest["IsTruncated"]

    def test_only_those_of_the_user_that_is_named(self, gate: Gate, iam: Any) -> None:
        iam.create_user(UserName="ann")
        for call, more in ((iam.delete_access_key, {}), (iam.update_access_key, {"Status": "Inactive"})):
            assert code(call, 404, UserName="ann", AccessKeyId=gate.key.id, **more) == "NoSuchEntity"
        assert iam.get_user()["User"]["UserName"] == "admin"

    def test_the_last_use(self, gate: Gate, iam: Any) -> None:
        iam.create_user(UserName="ann")
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        shown = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
        assert (shown["UserName"], shown["AccessKeyLastUsed"]) == ("ann", {"ServiceName": "N/A", "Region": "N/A"})
        client(gate, "sts", key).get_caller_identity()
        for _ in range(500):
            used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
            if "LastUsedDate" in used:
                break
        assert (used["ServiceName"], used["Region"]) == ("sts", REGION)
        assert code(iam.get_access_key_last_used, 403, AccessKeyId="AKIA" + "A" * 16) == "AccessDenied"


class TestPolicies:
    def test_a_life(self, iam: Any) -> None:
        iam.create_user(UserName="ann")
        document = '{ "Statement": [{"Effect": "Allow", "Action": "ses:*", "Resource": "*"}] }'
        iam.put_user_policy(UserName="ann", PolicyName="b", PolicyDocument=document)
        iam.put_user_policy(UserName="ann", PolicyName="a", PolicyDocument=json.dumps(POLICY))
        assert iam.get_user_policy(UserName="ann", PolicyName="a")["PolicyDocument"] == POLICY
        assert iam.get_user_policy(UserName="ann", PolicyName="b")["PolicyDocument"] == json.loads(document)
        shown = iam.list_user_policies(UserName="ann", MaxItems=1)
        assert (shown["PolicyNames"], shown["IsTruncated"]) == (["a"], True)
        assert iam.list_user_policies(UserName="ann", Marker=shown["Marker"])["PolicyNames"] == ["b"]
        iam.delete_user_policy(UserName="ann", PolicyName="a")
        assert code(iam.get_user_policy, 404, UserName="ann", PolicyName="a") == "NoSuchEntity"
        assert code(iam.delete_user_policy, 404, UserName="ann", PolicyName="a") == "NoSuchEntity"
        assert code(iam.delete_user, 409, UserName="ann") == "DeleteConflict"

    @pytest.mark.parametrize("document", ["{}", "x", '{"Statement": []}', statement(Principal="*"), statement(Action="all"), TWICE.replace('"Principal"', '"Resource"')])
    def test_a_malformed_one(self, iam: Any, document: str) -> None:
        assert code(iam.put_user_policy, 400, UserName="admin", PolicyName="a", PolicyDocument=document) == "MalformedPolicyDocument"

    def test_they_have_a_size_together(self, iam: Any) -> None:
        long = statement(Action=[f"workmail:{'x' * 90}{number:03}" for number in range(55)])
        iam.put_user_policy(UserName="admin", PolicyName="a", PolicyDocument=long)
        assert code(iam.put_user_policy, 409, UserName="admin", PolicyName="b", PolicyDocument=long) == "LimitExceeded"
        iam.put_user_policy(UserName="admin", PolicyName="a", PolicyDocument=long)

    def test_they_have_a_size_with_their_white_space_too(self, iam: Any) -> None:
        padded = statement() + " " * 100_000
        iam.put_user_policy(UserName="admin", PolicyName="a", PolicyDocument=padded)
        assert code(iam.put_user_policy, 409, UserName="admin", PolicyName="b", PolicyDocument=padded) == "LimitExceeded"

    def test_together_they_allow_what_one_allows_unless_another_denies(self, gate: Gate, iam: Any, organization_id: str) -> None:
        iam.create_user(UserName="ann")
        ann = client(gate, "workmail", iam.create_access_key(UserName="ann")["AccessKey"])
        iam.put_user_policy(UserName="ann", PolicyName="a", PolicyDocument=statement(Action="workmail:List*"))
        iam.put_user_policy(UserName="ann", PolicyName="b", PolicyDocument=statement(Action="workmail:DescribeOrganization"))
        ann.list_users(OrganizationId=organization_id)
        ann.describe_organization(OrganizationId=organization_id)
        iam.put_user_policy(UserName="ann", PolicyName="c", PolicyDocument=statement(Effect="Deny", Action="workmail:ListUsers"))
        with pytest.raises(ClientError, match="explicit deny in an identity-based policy"):
            ann.list_users(OrganizationId=organization_id)
        ann.list_groups(OrganizationId=organization_id)


class TestRoles:
    def test_a_life(self, iam: Any) -> None:
        given = {"Path": "/team/", "Description": "für <Ann>\r\n& ]]> Bob", "MaxSessionDuration": 7200}
        made = iam.create_role(RoleName="Reader", AssumeRolePolicyDocument=json.dumps(TRUST), **given)["Role"]
        assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/team/Reader"
        assert re.fullmatch("AROA[A-Z2-7]{16}", made["RoleId"])
        assert {name: made[name] for name in given} == given
        shown = iam.get_role(RoleName="Reader")["Role"]
        assert shown["AssumeRolePolicyDocument"] == TRUST
        assert code(iam.create_role, 409, RoleName="READER", AssumeRolePolicyDocument=json.dumps(TRUST)) == "EntityAlreadyExists"
        assert code(iam.get_role, 404, RoleName="READER") == code(iam.delete_role, 404, RoleName="READER") == "NoSuchEntity"
        iam.create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(TRUST))
        assert [role["RoleName"] for role in iam.list_roles(PathPrefix="/team/")["Roles"]] == ["Reader"]
        pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
        assert [role["RoleName"] for page in pages for role in page["Roles"]] == ["other", "Reader"]
        iam.put_role_policy(RoleName="Reader", PolicyName="p", PolicyDocument=json.dumps(POLICY))
        assert iam.list_role_policies(RoleName="Reader")["PolicyNames"] == ["p"]
        assert iam.get_role_policy(RoleName="Reader", PolicyName="p")["PolicyDocument"] == POLICY
        assert code(iam.delete_role, 409, RoleName="Reader") == "DeleteConflict"
        iam.delete_role_policy(RoleName="Reader", PolicyName="p")
        iam.delete_role(RoleName="Reader")
        assert code(iam.get_role, 404, RoleName="Reader") == "NoSuchEntity"

    def test_trust_is_changed(self, iam: Any) -> None:
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
        anybody = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
        iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(anybody))
        assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == anybody
        nobody = json.dumps(TRUST).replace(":root", ":user/nobody")
        with pytest.raises(ClientError, match=r"\(MalformedPolicyDocument\).*Invalid principal in policy"):
            iam.update_assume_role_policy(RoleName="r", PolicyDocument=nobody)
        assert code(iam.update_assume_role_policy, 400, RoleName="r", PolicyDocument=TWICE) == "MalformedPolicyDocument"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
class TestPermission:
    """Who may change whose permission."""

    def limited(self, gate: Gate, iam: Any, *documents: str) -> Any:
        iam.create_user(UserName="ann", Path="/team/")
        for number, document in enumerate(documents):
            iam.put_user_policy(UserName="ann", PolicyName=f"p{number}", PolicyDocument=document)
        return client(gate, "iam", iam.create_access_key(UserName="ann")["AccessKey"])

    def test_nobody_lifts_his_own(self, gate: Gate, iam: Any) -> None:
        ann = self.limited(gate, iam, json.dumps(POLICY))
        with pytest.raises(ClientError) as caught:
            ann.put_user_policy(UserName="ann", PolicyName="more", PolicyDocument=statement(Action="*"))
        assert caught.value.response["Error"]["Message"] == (
            f"User: arn:aws:iam::{ACCOUNT}:user/team/ann is not authorized to perform: iam:PutUserPolicy on resource: "
            f"arn:aws:iam::{ACCOUNT}:user/team/ann because no identity-based policy allows the iam:PutUserPolicy action"
        )
        for call, params in (
            (ann.create_user, {"UserName": "x"}),
            (ann.create_access_key, {}),
            (ann.create_access_key, {"UserName": "admin"}),
            (ann.create_role, {"RoleName": "x", "AssumeRolePolicyDocument": json.dumps(TRUST)}),
            (ann.list_users, {}),
            (ann.list_roles, {}),
            (ann.get_user, {}),
        ):
            assert code(call, 403, **params) == "AccessDenied"

    def test_one_s_own_keys(self, gate: Gate, iam: Any) -> None:
        mine = statement(Action="iam:*AccessKey*", Resource=f"arn:aws:iam::{ACCOUNT}:user/team/${{aws:username}}")
        ann = self.limited(gate, iam, mine)
        key = ann.create_access_key()["AccessKey"]
        ann.update_access_key(AccessKeyId=key["AccessKeyId"], Status="Inactive", UserName="ann")
        ann.delete_access_key(AccessKeyId=key["AccessKeyId"])
        assert code(ann.create_access_key, 403, UserName="admin") == "AccessDenied"
        assert code(ann.get_access_key_last_used, 403, AccessKeyId=gate.key.id) == "AccessDenied"
        assert code(ann.delete_access_key, 404, AccessKeyId=gate.key.id) == "NoSuchEntity"

    def test_below_a_path(self, gate: Gate, iam: Any) -> None:
        ann = self.limited(gate, iam, statement(Action="iam:*", Resource=f"arn:aws:iam::{ACCOUNT}:user/team/*"))
        iam.create_user(UserName="bob")
        ann.create_user(UserName="cid", Path="/team/")
        ann.list_users(PathPrefix="/team/")
        assert code(ann.list_users, 403) == "AccessDenied"
        assert code(ann.create_user, 403, UserName="dan") == "AccessDenied"
        assert code(ann.delete_user, 403, UserName="bob") == "AccessDenied"
        assert code(ann.delete_user, 403, UserName="BOB") == "AccessDenied"
        ann.delete_user(UserName="cid")

    def test_roles_below_a_path(self, gate: Gate, iam: Any) -> None:
        ann = self.limited(gate, iam, statement(Action="iam:*", Resource=f"arn:aws:iam::{ACCOUNT}:role/team/*"))
        iam.create_role(RoleName="boss", AssumeRolePolicyDocument=json.dumps(TRUST))
        ann.create_role(RoleName="mine", Path="/team/", AssumeRolePolicyDocument=json.dumps(TRUST))
        ann.put_role_policy(RoleName="mine", PolicyName="p", PolicyDocument=json.dumps(POLICY))
        assert ann.get_role(RoleName="mine")["Role"]["Path"] == "/team/"
        assert code(ann.create_role, 403, RoleName="other", AssumeRolePolicyDocument=json.dumps(TRUST)) == "AccessDenied"
        assert code(ann.create_role, 403, RoleName="boss", Path="/team/", AssumeRolePolicyDocument=json.dumps(TRUST)) == "AccessDenied"
        for call in (ann.get_role, ann.delete_role, ann.list_role_policies):
            assert code(call, 403, RoleName="boss") == "AccessDenied"

    def test_what_is_denied_by_name_is_denied_in_any_case(self, gate: Gate, iam: Any) -> None:
        deny = statement(Effect="Deny", Action="iam:*", Resource=f"arn:aws:iam::{ACCOUNT}:user/admin")
        ann = self.limited(gate, iam, statement(Action="*"), deny)
        assert code(ann.create_access_key, 403, UserName="admin") == "AccessDenied"
        assert code(ann.create_access_key, 404, UserName="Admin") == "NoSuchEntity"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
class TestForm:
    """The Query protocol, by hand."""

    def post(self, gate: Gate, body: str, service: str = "iam") -> Any:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Host": f"127.0.0.1:{gate.port}"}
        request = AWSRequest("POST", f"{gate.url}/", data=body.encode(), headers=headers)
        SigV4Auth(Credentials(gate.key.id, gate.key.secret), service, REGION).add_auth(request)
        return gate.send(dict(request.headers.items()), body.encode())

    def test_an_error_is_xml(self, gate: Gate) -> None:
        reply = self.post(gate, "Action=GetUser&Version=2010-05-08&UserName=nobody")
        assert (reply.status, reply.headers["content-type"]) == (404, "text/xml")
        assert reply.body.decode() == (
            '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>'
            "<Message>The user with name nobody cannot be found.</Message></Error>"
            f"<RequestId>{reply.headers['x-amzn-requestid']}</RequestId></ErrorResponse>\n"
        )

    @pytest.mark.parametrize(
        ("body", "wanted"),
        [
            ("", "InvalidAction"),
            ("Action=GetUser&Version=2000-01-01", "InvalidAction"),
            ("Action=GetUser&UserName=a&UserName=b", "MalformedInput"),
            ("Action=GetUser&UserName=%ff", "MalformedInput"),
            ("Action=GetUser&UserName.a=b", "MalformedInput"),
            ("Action=GetUser&UserName=a&UserName.a=b", "MalformedInput"),
            ("Action=GetUser&UserName=%01%3C%EF%BF%BE", "ValidationError"),
            ("Action=GetUser&UserName=a%00", "ValidationError"),
            ("Action=ListUsers&MaxItems=many", "MalformedInput"),
            ("Action=ListUsers&MaxItems=99999", "ValidationError"),
            ("Action=CreateUser&UserName=a&Tags.Key=b", "MalformedInput"),
            ("Action=CreateUser&UserName=a&Tags.member.x.Key=b", "MalformedInput"),
            ("Action=CreateUser&UserName=a&Tags.member.1=b", "MalformedInput"),
            ("Action=CreateUser&UserName=a&Tags.member.1.Key=b", "ValidationError"),
            ("&".join(f"a{number}=" for number in range(600)), "MalformedInput"),
        ],
    )
    def test_what_cannot_be_read(self, gate: Gate, body: str, wanted: str) -> None:
        reply = self.post(gate, body)
        assert reply.status == 400
        assert [node.text for node in ElementTree.fromstring(reply.body).iter() if node.tag.endswith("}Code")] == [wanted]

    def test_a_signature_is_for_one_service(self, gate: Gate) -> None:
        assert b"<Code>InvalidAction</Code>" in self.post(gate, "Action=CreateUser&UserName=a", "sts").body
        headers = gate.signed("ListOrganizations", b"{}")
        headers["Authorization"] = headers["Authorization"].replace("/workmail/", "/iam/")
        reply = gate.send(headers, b"Action=ListUsers")
        assert (reply.status, b"<Code>SignatureDoesNotMatch</Code>" in reply.body) == (403, True)


def code_of(workmail: Any) -> str:
    """Give the code with which WorkMail refuses."""
    with pytest.raises(ClientError) as caught:
        workmail.list_organizations()
    found: str = caught.value.response["Error"]["Code"]
    return found
