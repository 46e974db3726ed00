"""Letters sent by swaks, seen through the AWS command line and boto3: events in CloudWatch Logs, as moto offers them, and message flow."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.interop.tools import need
from tests.program import Program, running
from tests.server.served import configured, eventually, key_of, workmail

GROUP = "/aws/workmail/emailevents/lab"
ARN = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*"
ROLE = "arn:aws:iam::123456789012:role/workmail-events"
SETTINGS = """
[domains]
verify = false
[aws]
enabled = true
access_key_id = "key"
secret_access_key = "sesame-of-aws"
endpoint = "{endpoint}"
[exports.buckets]
letters = "letters"
"""

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    (folder / "letters").mkdir()
    return folder


@pytest.fixture(scope="module")
def program(moto: str, folder: Path) -> Iterator[Program]:
    config = configured(folder, SETTINGS.format(endpoint=moto))
    with running(Program(["serve", "--config", str(config)], folder)) as program:
        yield program


@pytest.fixture(scope="module")
def organization(program: Program) -> str:
    found: str = workmail(program).create_organization(Alias="lab")["OrganizationId"]
    return found


@pytest.fixture(scope="module")
def aws(program: Program) -> Command:
    """The AWS command line: service, operation, options; gives what it prints."""
    key, secret = key_of(program)
    environment = os.environ | {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}

    def call(*words: str) -> Any:
        command = [need("aws", "awscli"), *words, "--endpoint-url", program.ready.api]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    return call


def journal_of(program: Program) -> str:
    path = program.folder / "data" / "logs" / "events.jsonl"
    return path.read_text() if path.exists() else ""


def user(program: Program, organization: str, name: str) -> str:
    client = workmail(program)
    made = client.create_user(OrganizationId=organization, Name=name, DisplayName=name, Password="Correct-Horse-7x")["UserId"]
    client.register_to_work_mail(OrganizationId=organization, EntityId=made, Email=f"{name}@lab.postroom.test")
    return f"{name}@lab.postroom.test"


def swaks(program: Program, *options: str) -> None:
    host, port = program.ready.smtp
    command = [need("swaks", "swaks"), "--server", host, "--port", str(port), "--helo", "stranger.test", *options]
    subprocess.run(command, capture_output=True, check=True)


@pytest.mark.effect("PutEmailMonitoringConfiguration", "DescribeEmailMonitoringConfiguration", "DeleteEmailMonitoringConfiguration")
def test_events_come_to_cloudwatch_while_they_are_asked_for(program: Program, organization: str, aws: Command, moto: str) -> None:
    logs = boto3.client("logs", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    email = user(program, organization, "ann")
    named = ("--organization-id", organization)

    def subjects() -> list[str]:
        if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
            return []
        events = [json.loads(event["message"]) for event in logs.filter_log_events(logGroupName=GROUP)["events"]]
        return [event["event"]["subject"] for event in events if event["event"]["eventName"] == "ORGANIZATION_EMAIL_RECEIVED"]

    swaks(program, "--from", "bob@far.test", "--to", email, "--header", "Subject: unwatched")
    eventually(lambda: "unwatched" in journal_of(program))
    aws("workmail", "put-email-monitoring-configuration", *named, "--log-group-arn", ARN, "--role-arn", ROLE)
    assert aws("workmail", "describe-email-monitoring-configuration", *named) == {"RoleArn": ROLE, "LogGroupArn": ARN}
    swaks(program, "--from", "bob@far.test", "--to", email, "--header", "Subject: watched")
    eventually(lambda: subjects() == ["watched"])
    aws("workmail", "delete-email-monitoring-configuration", *named)
    swaks(program, "--from", "bob@far.test", "--to", email, "--header", "Subject: no longer")
    eventually(lambda: "no longer" in journal_of(program))
    assert subjects() == ["watched"]
    assert "sesame-of-aws" not in program.log.read_text()


@pytest.mark.effect("PutInboundDmarcSettings", "DescribeInboundDmarcSettings")
def test_dmarc_settings_stay(program: Program, organization: str) -> None:
    client = workmail(program)
    assert client.describe_inbound_dmarc_settings(OrganizationId=organization)["Enforced"]
    client.put_inbound_dmarc_settings(OrganizationId=organization, Enforced=False)
    assert not client.describe_inbound_dmarc_settings(OrganizationId=organization)["Enforced"]


def test_a_letter_is_read_and_replaced_by_its_id(program: Program, organization: str, aws: Command, folder: Path) -> None:
    email = user(program, organization, "zoe")
    swaks(program, "--from", "bob@far.test", "--to", email, "--header", "Subject: for zoe", "--body", "one two three")

    def found() -> str:
        events = [json.loads(line) for line in journal_of(program).splitlines()]
        return next((event["traceId"] for event in events if event["event"].get("subject") == "for zoe"), "")

    message, output = eventually(found), folder / "output"
    aws("workmailmessageflow", "get-raw-message-content", "--message-id", message, str(output))
    raw = output.read_bytes()
    assert b"one two three" in raw
    (folder / "letters" / "changed").write_bytes(raw.replace(b"three", b"four"))
    place = json.dumps({"s3Reference": {"bucket": "letters", "key": "changed"}})
    aws("workmailmessageflow", "put-raw-message-content", "--message-id", message, "--content", place)
    aws("workmailmessageflow", "get-raw-message-content", "--message-id", message, str(output))
    assert output.read_bytes() == raw.replace(b"three", b"four")
