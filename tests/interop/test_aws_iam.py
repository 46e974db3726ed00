"""The AWS command line manages who may call the API: `aws iam` and `aws sts` with nothing but an endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.interop.tools import need
from tests.program import Ready

POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"workmail:List*","Resource":"*"}]}'


class CommandLine:
    """`aws` with somebody's credentials."""

    def __init__(self, ready: Ready, credentials: Mapping[str, str]) -> None:
        beside = Path(sys.executable).with_name("aws")
        self._path = str(beside) if beside.exists() else need("aws", "awscli")
        self._ready = ready
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_DEFAULT_REGION": ready.region,
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }
        if "SessionToken" in credentials:
            self._environment["AWS_SESSION_TOKEN"] = credentials["SessionToken"]
        if ready.api.startswith("https"):
            self._environment["AWS_CA_BUNDLE"] = ready.ca_file

    def run(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self._path, "--endpoint-url", self._ready.api, service, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=60, check=False)

    def iam(self, *arguments: str) -> Any:
        return self._answer("iam", *arguments)

    def sts(self, *arguments: str) -> Any:
        return self._answer("sts", *arguments)

    def _answer(self, service: str, *arguments: str) -> Any:
        done = self.run(service, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def administrator(ready: Ready) -> CommandLine:
    return CommandLine(ready, {"AccessKeyId": ready.access_key_id, "SecretAccessKey": ready.secret_access_key})


def test_every_operation(ready: Ready, administrator: CommandLine) -> None:
    serial, iam = uuid.uuid4().hex[:8], administrator.iam
    user, role = ("--user-name", f"ann-{serial}"), ("--role-name", f"reader-{serial}")
    made = iam("create-user", *user, "--path", "/team/")["User"]
    assert iam("get-user", *user)["User"] == made
    assert made in iam("list-users", "--path-prefix", "/team/")["Users"]
    key = iam("create-access-key", *user)["AccessKey"]
    key_id = ("--access-key-id", key["AccessKeyId"])
    assert [entry["Status"] for entry in iam("list-access-keys", *user)["AccessKeyMetadata"]] == ["Active"]
    iam("update-access-key", *user, *key_id, "--status", "Inactive")
    iam("update-access-key", *user, *key_id, "--status", "Active")
    assert iam("get-access-key-last-used", *key_id)["UserName"] == made["UserName"]

    trust = {"Effect": "Allow", "Principal": {"AWS": made["Arn"]}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    created = iam("create-role", *role, "--assume-role-policy-document", document)["Role"]
    iam("update-assume-role-policy", *role, "--policy-document", document)
    assert iam("get-role", *role)["Role"]["AssumeRolePolicyDocument"] == json.loads(document)
    assert created["Arn"] in [entry["Arn"] for entry in iam("list-roles")["Roles"]]
    for kind, owner in (("user", user), ("role", role)):
        iam(f"put-{kind}-policy", *owner, "--policy-name", "lists", "--policy-document", POLICY)
        assert iam(f"list-{kind}-policies", *owner)["PolicyNames"] == ["lists"]
        assert iam(f"get-{kind}-policy", *owner, "--policy-name", "lists")["PolicyDocument"] == json.loads(POLICY)

    ann = CommandLine(ready, key)
    assert ann.sts("get-caller-identity")["Arn"] == made["Arn"]
    assumed = ann.sts("assume-role", "--role-arn", created["Arn"], "--role-session-name", "work")
    session = CommandLine(ready, assumed["Credentials"])
    assert session.sts("get-caller-identity")["Arn"] == assumed["AssumedRoleUser"]["Arn"]
    assert session.run("workmail", "list-users", "--organization-id", ready.organization_id).returncode == 0
    refused = session.run("workmail", "describe-organization", "--organization-id", ready.organization_id)
    assert "AccessDeniedException" in refused.stderr
    assert "assumed-role/" in refused.stderr

    assert "(DeleteConflict)" in administrator.run("iam", "delete-role", *role).stderr
    for kind, owner in (("user", user), ("role", role)):
        iam(f"delete-{kind}-policy", *owner, "--policy-name", "lists")
    iam("delete-role", *role)
    iam("delete-access-key", *user, *key_id)
    iam("delete-user", *user)
    assert "(NoSuchEntity)" in administrator.run("iam", "get-user", *user).stderr
    assert "(InvalidClientTokenId)" in session.run("sts", "get-caller-identity").stderr
