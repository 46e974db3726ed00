"""Roles assumed through `sts`: whom they trust, what their sessions may do and for how long."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from postroom.api.errors import Refusal
from postroom.api.exchange import Exchange
from postroom.api.operation import Caller
from postroom.api.requests import Request
from postroom.api.settings import Settings
from postroom.api.sts import Sts
from postroom.directory import roles
from postroom.policy.iam import access_keys, signers, trust
from postroom.storage.engine import REGISTRY, Store
from tests.api.conftest import ACCOUNT, REGION, SESSION, SETTINGS, Gate
from tests.api.test_iam import POLICY, TWICE, client, code, statement

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"
ASSUME = statement(Action="sts:AssumeRole", Resource=f"arn:aws:iam::{ACCOUNT}:role/*")


def trusting(principal: Any, **parts: Any) -> str:
    """Write a trust policy."""
    entry = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"} | parts
    return json.dumps({"Version": "2012-10-17", "Statement": [entry]})


@dataclass
class People:
    """An administrator, a user without permission and one who may assume roles."""

    gate: Gate
    iam: Any
    nobody: dict[str, Any]
    actor: dict[str, Any]

    def role(self, trust: str, policy: str = json.dumps(POLICY), name: str = "reader", **more: Any) -> None:
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **more)
        self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)

    def assume(self, credentials: dict[str, Any] | None, **params: Any) -> dict[str, Any]:
        given = {"RoleArn": ROLE, "RoleSessionName": "work"} | params
        answer: dict[str, Any] = client(self.gate, "sts", credentials).assume_role(**given)
        return answer["Credentials"]

    def refused(self, credentials: dict[str, Any] | None, status: int = 403, **params: Any) -> str:
        return code(client(self.gate, "sts", credentials).assume_role, status, **({"RoleArn": ROLE, "RoleSessionName": "work"} | params))


@pytest.fixture
def people(gate: Gate) -> People:
    iam = client(gate, "iam")
    made = []
    for name in ("nobody", "actor"):
        iam.create_user(UserName=name)
        made.append(iam.create_access_key(UserName=name)["AccessKey"])
    iam.put_user_policy(UserName="actor", PolicyName="p", PolicyDocument=ASSUME)
    return People(gate, iam, *made)


class TestIdentity:
    def test_of_a_user(self, gate: Gate, people: People) -> None:
        shown = client(gate, "sts", people.nobody).get_caller_identity()
        user = people.iam.get_user(UserName="nobody")["User"]
        assert (shown["Account"], shown["Arn"], shown["UserId"]) == (ACCOUNT, user["Arn"], user["UserId"])

    def test_of_a_session(self, gate: Gate, people: People) -> None:
        people.role(trusting({"AWS": ROOT}), Path="/team/")
        arn = f"arn:aws:iam::{ACCOUNT}:role/team/reader"
        answer = client(gate, "sts", people.actor).assume_role(RoleArn=arn, RoleSessionName="work")
        shown = client(gate, "sts", answer["Credentials"]).get_caller_identity()
        assert shown["Arn"] == answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/work"
        role_id = people.iam.get_role(RoleName="reader")["Role"]["RoleId"]
        assert shown["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"] == f"{role_id}:work"
        assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
        assert answer["Credentials"]["Expiration"].timestamp() == pytest.approx(gate.store.now() + 3600, abs=30)

    def test_without_a_region_of_its_own(self, gate: Gate) -> None:
        assert client(gate, "sts", region="us-east-1").get_caller_identity()["Arn"].endswith("/admin")

    def test_of_an_unsigned_request(self, gate: Gate) -> None:
        sts = SESSION.client("sts", endpoint_url=gate.url, region_name="us-east-1", config=Config(signature_version=UNSIGNED))
        with pytest.raises(ClientError, match=r"\(MissingAuthenticationToken\)"):
            sts.get_caller_identity()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
class TestRegion:
    @pytest.fixture
    def settings(self) -> Settings:
        return msgspec.structs.replace(SETTINGS, region="eu-west-1")

    def test_services_without_regions_are_signed_for_the_first_one_too(self, gate: Gate) -> None:
        for region in ("eu-west-1", "us-east-1"):
            assert client(gate, "sts", region=region).get_caller_identity()["Account"] == ACCOUNT
        assert code(client(gate, "sts", region="eu-north-1").get_caller_identity, 403) == "SignatureDoesNotMatch"
        assert client(gate, "workmail", region="eu-west-1").list_organizations()["OrganizationSummaries"] == []
        with pytest.raises(ClientError, match=r"\(InvalidSignatureException\).*valid region, not 'us-east-1'"):
            client(gate, "workmail", region="us-east-1").list_organizations()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
class TestTrust:
    def test_the_account_leaves_it_to_the_callers_policy(self, people: People) -> None:
        for principal in (ROOT, ACCOUNT):
            people.role(trusting({"AWS": principal}), name="reader")
            assert people.assume(people.actor)
            assert people.refused(people.nobody) == "AccessDenied"
            people.iam.delete_role_policy(RoleName="reader", PolicyName="p")
            people.iam.delete_role(RoleName="reader")

    @pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/nobody"]}])
    def test_who_is_named_needs_no_policy(self, people: People, principal: Any) -> None:
        people.role(trusting(principal))
        assert people.assume(people.nobody)

    def test_but_may_be_denied_by_one(self, people: People) -> None:
        people.role(trusting("*"))
        people.iam.put_user_policy(UserName="nobody", PolicyName="n", PolicyDocument=statement(Effect="Deny", Action="sts:*"))
        with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
            people.assume(people.nobody)

    @pytest.mark.parametrize(
        "principal",
        [
            {"Service": "workmail.amazonaws.com"},
            {"AWS": f"arn:aws:iam::{ACCOUNT}:user/admin"},
            {"AWS": "arn:aws:iam::999999999999:root"},
            {"AWS": "999999999999", "Service": "*"},
            {"AWS": "arn:aws:iam::999999999999:user/actor"},
            {"Federated": "accounts.example.com"},
        ],
    )
    def test_others_are_not_trusted(self, people: People, principal: Any) -> None:
        people.role(trusting(principal))
        assert people.refused(people.actor) == "AccessDenied"

    def test_a_role_that_does_not_exist_reads_the_same(self, people: People) -> None:
        people.role(trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/admin"}))
        texts = []
        for name in ("reader", "nothing", "Reader", "x/reader"):
            with pytest.raises(ClientError, match="AccessDenied") as caught:
                people.assume(people.actor, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}")
            texts.append(caught.value.response["Error"]["Message"].replace(name, "N"))
        assert len(set(texts)) == 1

    @pytest.mark.parametrize("arn", [ROLE.replace("reader", "open/reader"), ROLE.replace(ACCOUNT, "9" * 12)])
    def test_a_role_is_found_by_its_whole_arn(self, people: People, arn: str) -> None:
        people.iam.put_user_policy(UserName="actor", PolicyName="p", PolicyDocument=statement(Action="sts:AssumeRole"))
        people.role(trusting({"AWS": ROOT}))
        assert people.assume(people.actor)
        assert people.refused(people.actor, RoleArn=arn) == "AccessDenied"

    async def test_trust_that_is_taken_back_at_the_last_moment(self, store: Store) -> None:
        anybody, nobody = trusting("*"), trusting({"Service": "none"})
        with store.transaction(REGISTRY) as tx:
            key = access_keys.issue(tx, name="ann")
            role = trust.create_role(tx, ACCOUNT, name="reader", document=anybody, session_seconds=3600)
            signer = signers.find(tx, key.id)
        assert signer is not None
        caller = Caller(ACCOUNT, REGION, key.id, signer.identity, "192.0.2.1", secure=True)
        service = Sts(store, SETTINGS)
        params = {"RoleArn": ROLE, "RoleSessionName": "work"}
        exchange = Exchange(
            Request("POST", "/", "", {}, "192.0.2.1", secure=True), service, name="AssumeRole", signed=signer, caller=caller, params=params
        )
        await service.permit(exchange)
        assert (await service.perform(exchange))["Credentials"]
        with store.transaction(REGISTRY) as tx:
            trust.set_trust(tx, ACCOUNT, role, nobody)
        with pytest.raises(Refusal, match="not authorized to perform: sts:AssumeRole"):
            await service.perform(exchange)

    def test_a_statement_that_denies(self, people: People) -> None:
        trust = json.loads(trusting("*"))
        trust["Statement"].append({"Effect": "Deny", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"})
        people.role(json.dumps(trust))
        assert people.refused(None) == "AccessDenied"

    def test_an_action_that_is_another(self, people: People) -> None:
        people.role(trusting("*", Action="sts:TagSession"))
        assert people.refused(None) == "AccessDenied"

    def test_an_external_id(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}, Condition={"StringEquals": {"sts:ExternalId": "secret-1"}}))
        assert people.assume(people.actor, ExternalId="secret-1")
        assert people.refused(people.actor, ExternalId="secret-2") == "AccessDenied"
        assert people.refused(people.actor) == "AccessDenied"

    def test_the_name_of_the_session(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}, Condition={"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}))
        assert people.assume(people.actor, RoleSessionName="actor")
        assert people.refused(people.actor, RoleSessionName="admin") == "AccessDenied"

    def test_a_later_user_of_the_same_name_is_not_trusted(self, people: People) -> None:
        people.role(trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"}))
        assert people.assume(people.nobody)
        people.iam.delete_access_key(UserName="nobody", AccessKeyId=people.nobody["AccessKeyId"])
        people.iam.delete_user(UserName="nobody")
        people.iam.create_user(UserName="nobody")
        assert people.refused(people.iam.create_access_key(UserName="nobody")["AccessKey"]) == "AccessDenied"

    @pytest.mark.parametrize(
        "document",
        [
            trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/*"}),
            trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/missing"}),
            trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:role/missing"}),
            trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/Actor"}),
            trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/team/actor"}),
            trusting({"AWS": f"arn:aws:iam::{ACCOUNT}"}),
            trusting({"AWS": "me"}),
            trusting({"Nobody": "x"}),
            trusting({}),
            trusting("*", Resource="*"),
            json.dumps(POLICY),
            "{}",
            trusting({"AWS": [ROOT] * 60}),
        ],
    )
    def test_a_malformed_one(self, people: People, document: str) -> None:
        assert code(people.iam.create_role, 400, RoleName="r", AssumeRolePolicyDocument=document) == "MalformedPolicyDocument"


class TestSession:
    def test_it_may_do_what_the_role_may(self, people: People, organization_id: str) -> None:
        people.role(trusting({"AWS": ROOT}), statement(Action="workmail:List*"))
        workmail = client(people.gate, "workmail", people.assume(people.actor))
        assert workmail.list_users(OrganizationId=organization_id)["Users"] == []
        with pytest.raises(ClientError) as caught:
            workmail.create_user(OrganizationId=organization_id, Name="a", DisplayName="a")
        assert caught.value.response["Error"]["Message"].startswith(
            f"User: arn:aws:sts::{ACCOUNT}:assumed-role/reader/work is not authorized to perform: workmail:CreateUser on resource: "
        )
        people.iam.put_role_policy(RoleName="reader", PolicyName="more", PolicyDocument=json.dumps(POLICY))
        workmail.create_user(OrganizationId=organization_id, Name="a", DisplayName="a")

    def test_one_organization_by_an_administrator_who_is_limited_to_it(self, gate: Gate, people: People) -> None:
        mine, other = gate.organization_of("mine"), gate.organization_of("other")
        people.role(trusting({"AWS": ROOT}), statement(Resource=f"arn:aws:workmail:*:{ACCOUNT}:organization/{mine}"))
        workmail = client(gate, "workmail", people.assume(people.actor))
        workmail.create_user(OrganizationId=mine, Name="a", DisplayName="a")
        assert code(workmail.create_user, 400, OrganizationId=other, Name="a", DisplayName="a") == "AccessDeniedException"

    def test_its_own_policy_narrows_it(self, people: People, organization_id: str) -> None:
        people.role(trusting({"AWS": ROOT}), statement(Action=["workmail:List*", "workmail:Describe*"]))
        only = statement(Action=["workmail:ListUsers", "workmail:CreateUser"])
        workmail = client(people.gate, "workmail", people.assume(people.actor, Policy=only))
        workmail.list_users(OrganizationId=organization_id)
        with pytest.raises(ClientError, match="because no session policy allows the workmail:ListGroups action"):
            workmail.list_groups(OrganizationId=organization_id)
        with pytest.raises(ClientError, match="because no identity-based policy allows the workmail:CreateUser action"):
            workmail.create_user(OrganizationId=organization_id, Name="a", DisplayName="a")

    def test_bad_policies_of_its_own(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}))
        assert people.refused(people.actor, 400, Policy="{}") == "MalformedPolicyDocument"
        assert people.refused(people.actor, 400, Policy=TWICE.replace('"Principal"', '"Resource"')) == "MalformedPolicyDocument"
        long = statement(Action=[f"workmail:{'x' * 90}{number:03}" for number in range(30)])
        assert people.refused(people.actor, 400, Policy=long) == "PackedPolicyTooLarge"

    def test_it_ends(self, people: People, organization_id: str) -> None:
        people.role(trusting({"AWS": ROOT}))
        credentials, kept = people.assume(people.actor, DurationSeconds=900), people.assume(people.actor)
        workmail = client(people.gate, "workmail", credentials)
        workmail.list_users(OrganizationId=organization_id)
        with people.gate.store.transaction(REGISTRY) as tx:
            tx.run("UPDATE iam_sessions SET expires_at = :at WHERE id = :id", at=tx.now - 1, id=credentials["AccessKeyId"])
        people.gate.gateway.forget()
        with pytest.raises(ClientError, match=r"\(ExpiredTokenException\).*The security token included in the request is expired"):
            workmail.list_users(OrganizationId=organization_id)
        assert code(client(people.gate, "sts", credentials).get_caller_identity, 403) == "ExpiredToken"
        assert client(people.gate, "sts", kept).get_caller_identity()

    @pytest.mark.parametrize(
        ("seconds", "wanted"), [(899, "ValidationError"), (3600, ""), (7200, ""), (7201, "ValidationError"), (43201, "ValidationError")]
    )
    def test_how_long(self, people: People, seconds: int, wanted: str) -> None:
        people.role(trusting({"AWS": ROOT}), MaxSessionDuration=7200)
        if wanted:
            assert people.refused(people.actor, 400, DurationSeconds=seconds) == wanted
        else:
            expires = people.assume(people.actor, DurationSeconds=seconds)["Expiration"]
            assert expires.timestamp() == pytest.approx(people.gate.store.now() + seconds, abs=30)

    def test_token_and_secret_belong_together(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}))
        one, other = people.assume(people.actor), people.assume(people.actor)
        for wrong in ({"SessionToken": other["SessionToken"]}, {"SessionToken": None}):
            assert code(client(people.gate, "sts", one | wrong).get_caller_identity, 403) == "InvalidClientTokenId"
        assert code(client(people.gate, "sts", one | {"SecretAccessKey": "x" * 40}).get_caller_identity, 403) == "SignatureDoesNotMatch"

    def test_a_role_that_is_deleted_takes_its_sessions_along(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}))
        sts = client(people.gate, "sts", people.assume(people.actor))
        sts.get_caller_identity()
        people.iam.delete_role_policy(RoleName="reader", PolicyName="p")
        people.iam.delete_role(RoleName="reader")
        people.role(trusting({"AWS": ROOT}))
        assert code(sts.get_caller_identity, 403) == "InvalidClientTokenId"

    def test_one_begins_another(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}), ASSUME, MaxSessionDuration=7200)
        session = people.assume(people.actor)
        named = [{"AWS": ROLE}, {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/work"}, {"AWS": ROOT}]
        for number, principal in enumerate(named):
            people.role(trusting(principal), name=f"next{number}", MaxSessionDuration=7200)
        arns = [f"arn:aws:iam::{ACCOUNT}:role/next{number}" for number in range(3)]
        for arn in arns:
            assert people.assume(session, RoleArn=arn)
            assert people.refused(session, 400, RoleArn=arn, DurationSeconds=3601) == "ValidationError"
        other = people.assume(people.actor, RoleSessionName="other")
        assert people.refused(other, RoleArn=arns[1]) == "AccessDenied"
        narrow = people.assume(people.actor, Policy=statement(Action="workmail:*"))
        assert people.refused(narrow, RoleArn=arns[0]) == "AccessDenied"
        assert people.assume(narrow, RoleArn=arns[1])
        assert people.refused(narrow, RoleArn=arns[2]) == "AccessDenied"

    def test_it_is_no_user(self, people: People, organization_id: str) -> None:
        by_name = statement(Action="workmail:ListUsers", Condition={"StringLike": {"aws:username": "*"}})
        people.role(trusting({"AWS": ROOT}), by_name)
        workmail = client(people.gate, "workmail", people.assume(people.actor))
        assert code(workmail.list_users, 400, OrganizationId=organization_id) == "AccessDeniedException"
        role_id = people.iam.get_role(RoleName="reader")["Role"]["RoleId"]
        condition = {
            "ArnEquals": {"aws:PrincipalArn": ROLE},
            "StringEquals": {"aws:userid": f"{role_id}:work", "aws:PrincipalType": "AssumedRole"},
            "DateGreaterThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"},
        }
        people.iam.put_role_policy(RoleName="reader", PolicyName="q", PolicyDocument=statement(Condition=condition))
        assert workmail.list_users(OrganizationId=organization_id)["Users"] == []

    def test_in_iam_it_has_to_name_users(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}), statement(Action="iam:*"))
        iam = client(people.gate, "iam", people.assume(people.actor))
        assert code(iam.get_user, 400) == "ValidationError"
        assert iam.get_user(UserName="actor")["User"]["UserName"] == "actor"

    def test_what_is_not_supported_is_refused(self, people: People) -> None:
        people.role(trusting({"AWS": ROOT}))
        assert people.refused(people.actor, 400, Tags=[{"Key": "a", "Value": "b"}]) == "ValidationError"
        assert code(client(people.gate, "sts").get_session_token, 400) == "InvalidAction"


def test_sessions_that_ended_are_forgotten_and_counted_no_more(gate: Gate, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "MOST_SESSIONS", 2)
    people.role(trusting({"AWS": ROOT}))
    kept = [people.assume(people.actor)["AccessKeyId"] for _ in range(2)]
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        people.assume(people.actor)
    with gate.store.transaction(REGISTRY) as tx:
        tx.run("UPDATE iam_sessions SET expires_at = :at WHERE id = :id", at=tx.now - 10, id=kept[0])
        tx.run("UPDATE iam_sessions SET expires_at = :at WHERE id = :id", at=tx.now - roles.KEPT_SECONDS - 10, id=kept[1])
    people.assume(people.actor)
    with gate.store.transaction(REGISTRY, write=False) as tx:
        left = {row[0] for row in tx.all("SELECT id FROM iam_sessions")}
    assert kept[0] in left
    assert kept[1] not in left
