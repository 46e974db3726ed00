"""Scripts that say nothing of endpoints and keys: profiles of `~/.aws/config` name them, roles to assume and programs that give credentials."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.program import Ready

CONFIGURATION = """
[profile keys]
services = postroom
[profile role]
services = postroom
source_profile = keys
role_arn = {role}
role_session_name = night
external_id = 42
[profile process]
services = postroom
credential_process = cat {folder}/credentials.json
[services postroom]
workmail =
  endpoint_url = {api}
workmailmessageflow =
  endpoint_url = {api}
iam =
  endpoint_url = {api}
sts =
  endpoint_url = {api}
"""
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "workmail:List*", "Resource": "*"}]}

Profile = Callable[[str], boto3.Session]


@pytest.fixture
def profile(ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Write the files, the role in them too; return an opener of profiles."""
    administrator: Any = ready.session().client("iam", endpoint_url=ready.api, verify=ready.ca_file)
    name = f"night-{uuid.uuid4().hex[:8]}"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "42"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = administrator.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    administrator.put_role_policy(RoleName=name, PolicyName="lists", PolicyDocument=json.dumps(POLICY))
    keys = {"AccessKeyId": ready.access_key_id, "SecretAccessKey": ready.secret_access_key}
    (tmp_path / "credentials.json").write_text(json.dumps({"Version": 1, **keys}))
    (tmp_path / "config").write_text(CONFIGURATION.format(role=role, folder=tmp_path, api=ready.api))
    (tmp_path / "credentials").write_text(
        "[keys]\naws_access_key_id={AccessKeyId}\naws_secret_access_key={SecretAccessKey}\n".format(**keys)
    )
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CA_BUNDLE", ready.ca_file)
    return lambda wanted: boto3.Session(profile_name=wanted, region_name=ready.region)


@pytest.mark.parametrize("name", ["keys", "process"])
def test_keys_of_a_profile(profile: Profile, ready: Ready, name: str) -> None:
    session = profile(name)
    account = session.client("sts").get_caller_identity()["Account"]
    organization = session.client("workmail").describe_organization(OrganizationId=ready.organization_id)
    assert organization["ARN"] == f"arn:aws:workmail:{ready.region}:{account}:organization/{ready.organization_id}"
    flow = session.client("workmailmessageflow")
    with pytest.raises(flow.exceptions.ResourceNotFoundException):
        flow.get_raw_message_content(messageId=str(uuid.uuid4()))


def test_the_role_of_a_profile(profile: Profile, ready: Ready) -> None:
    session = profile("role")
    assert session.client("sts").get_caller_identity()["Arn"].endswith("/night")
    users = session.client("workmail").get_paginator("list_users").paginate(OrganizationId=ready.organization_id)
    assert {"alice", "bob"} <= {user["Name"] for page in users for user in page["Users"]}
    with pytest.raises(ClientError, match="AccessDeniedException"):
        session.client("workmail").describe_user(OrganizationId=ready.organization_id, UserId="alice")
