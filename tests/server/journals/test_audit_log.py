"""The record of API calls, of the whole program: made by boto3 and the AWS CLI, read from its files and by `postroom audit`."""

import json
import os
import re
import shutil
import smtplib
import ssl
import stat
import subprocess
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from postroom.api import audit
from postroom.api.exchange import Exchange, Service
from postroom.api.model import load
from postroom.api.operation import Caller
from postroom.api.requests import Request
from postroom.model.principals import Identity
from postroom.server import cli
from postroom.server.journals import journal
from postroom.server.journals.audit_log import AuditLog
from postroom.server.journals.journal import Settings
from postroom.storage.engine import Store
from tests.program import Program, running
from tests.server.served import configured, eventually, key_of, postroom, workmail

SECRETS = ("Sesame-1st-open", "Sesame-2nd-open", "Sesame-3rd-ews", "tiny")
TO_TERMINALS = "\x9b2J\x9d"
AWS = shutil.which("aws") or str(Path(".venv/bin/aws").resolve())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def config(folder: Path) -> Path:
    return configured(folder, '[domains]\nverify = false\n[log]\nlevel = "debug"\n')


def refused(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as failed:
        call(**params)
    code: str = failed.value.response["Error"]["Code"]
    return code


def use(program: Program) -> dict[str, str]:
    """Do what the tests look for; gives ids, and every secret that was used under `secrets`."""
    client = workmail(program)
    key, secret = key_of(program)
    organization = client.create_organization(Alias="lab")["OrganizationId"]
    inside = {"OrganizationId": organization}
    user = client.create_user(**inside, Name="ann", DisplayName="Ann", Password=SECRETS[0])["UserId"]
    client.register_to_work_mail(**inside, EntityId=user, Email="ann@lab.postroom.test")
    client.reset_password(**inside, UserId=user, Password=SECRETS[1])
    client.create_availability_configuration(
        **inside,
        DomainName="far.test",
        EwsProvider={"EwsEndpoint": "https://far.test/EWS", "EwsUsername": "someone", "EwsPassword": SECRETS[2]},
    )
    assert refused(client.create_user, **inside, Name="bob", DisplayName="Bob", Password=SECRETS[3]) == "InvalidPasswordException"
    assert refused(client.describe_user, **inside, UserId="nobody") == "EntityNotFoundException"
    client.list_users(**inside)
    session = assume(program)
    stranger = boto3.client(
        "workmail", endpoint_url=program.ready.api, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key="wrong" + secret,
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    stranger.meta.events.register("before-sign", lambda request, **_: request.headers.__setitem__("User-Agent", TO_TERMINALS))
    assert refused(stranger.list_users, **inside) == "InvalidSignatureException"
    environment = os.environ | {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}
    command = [AWS, "workmail", "describe-organization", "--organization-id", organization, "--endpoint-url", program.ready.api]
    assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    with smtplib.SMTP_SSL(*program.ready.submissions, context=ssl.create_default_context(cafile=program.ready.ca_file)) as smtp:
        smtp.login("ann@lab.postroom.test", SECRETS[1])
        smtp.sendmail("ann@lab.postroom.test", "ann@lab.postroom.test", "From: ann@lab.postroom.test\r\nSubject: hi\r\n\r\nhello\r\n")
    return {"organization": organization, "user": user, "key": key, "secret": secret, "token": session["SessionToken"]}


def assume(program: Program) -> dict[str, str]:
    """Make a role and be it once; gives its credentials."""
    given = dict(zip(("aws_access_key_id", "aws_secret_access_key"), key_of(program), strict=True))
    where = {"endpoint_url": program.ready.api, "region_name": "us-east-1"}
    account = "arn:aws:iam::000000000000"
    trust = {"Effect": "Allow", "Principal": {"AWS": f"{account}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    boto3.client("iam", **where, **given).create_role(RoleName="helpdesk", AssumeRolePolicyDocument=document)
    sts = boto3.client("sts", **where, **given)
    made: dict[str, str] = sts.assume_role(RoleArn=f"{account}:role/helpdesk", RoleSessionName="monday")["Credentials"]
    given = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    boto3.client("sts", **where, **given, aws_session_token=made["SessionToken"]).get_caller_identity()
    return made


@pytest.fixture(scope="module")
def used(folder: Path, config: Path) -> dict[str, str]:
    """A program that was used, looked at beside it, and has ended."""
    with running(Program(["serve", "--config", str(config)], folder)) as program:
        found = use(program)
        eventually(lambda: "DescribeOrganization" in postroom(config, "audit").stdout)
    return found


def records(folder: Path, name: str = "audit") -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.lines(folder / "data" / "logs", name)]


def test_every_call_is_there_in_order_when_the_program_has_ended(used: dict[str, str], folder: Path) -> None:
    assert [(record["eventName"], record.get("errorCode"), record["readOnly"]) for record in records(folder)] == [
        ("CreateOrganization", None, False),
        ("CreateUser", None, False),
        ("RegisterToWorkMail", None, False),
        ("ResetPassword", None, False),
        ("CreateAvailabilityConfiguration", None, False),
        ("CreateUser", "InvalidPasswordException", False),
        ("DescribeUser", "EntityNotFoundException", True),
        ("ListUsers", None, True),
        ("CreateRole", None, False),
        ("AssumeRole", None, False),
        ("GetCallerIdentity", None, True),
        ("DescribeOrganization", None, True),
    ]
    for name in ("audit", "refusals", "events"):
        assert stat.S_IMODE((folder / "data" / "logs" / f"{name}.jsonl").stat().st_mode) == 0o600


def test_a_record_has_the_form_of_cloudtrail(used: dict[str, str], folder: Path) -> None:
    made = records(folder)[1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made.pop("eventTime"))
    assert made.pop("userAgent").startswith("Boto3/")
    assert made.pop("requestID") != made.pop("eventID")
    identity = made.pop("userIdentity")
    assert (identity["type"], identity["accessKeyId"], identity["accountId"]) == ("IAMUser", used["key"], "000000000000")
    assert identity["arn"] == f"arn:aws:iam::000000000000:user/{identity['userName']}"
    assert made == {
        "eventVersion": "1.11",
        "eventSource": "workmail.amazonaws.com",
        "eventName": "CreateUser",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "127.0.0.1",
        "resources": [
            {
                "accountId": "000000000000",
                "type": "AWS::WorkMail::Organization",
                "ARN": f"arn:aws:workmail:us-east-1:000000000000:organization/{used['organization']}",
            }
        ],
        "requestParameters": {
            "organizationId": used["organization"],
            "name": "ann",
            "displayName": audit.HIDDEN,
            "password": audit.HIDDEN,
        },
        "responseElements": {"userId": used["user"]},
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "000000000000",
        "eventCategory": "Management",
    }


def test_who_reads_is_not_shown_what_was_read(used: dict[str, str], folder: Path) -> None:
    listed = next(record for record in records(folder) if record["eventName"] == "ListUsers")
    assert listed["responseElements"] is None
    assert listed["requestParameters"] == {"organizationId": used["organization"]}


def test_a_refused_signature_is_recorded_apart(used: dict[str, str], folder: Path) -> None:
    (found,) = records(folder, "refusals")
    assert found["userIdentity"] == {"type": "Unknown", "accountId": "000000000000", "accessKeyId": used["key"]}
    assert (found["eventName"], found["errorCode"], found["requestParameters"]) == ("ListUsers", "InvalidSignatureException", None)


def test_no_secret_is_in_any_file_of_records_or_in_the_log(used: dict[str, str], folder: Path) -> None:
    files = [path for path in (folder / "data" / "logs").iterdir() if path.suffix == ".jsonl"]
    assert {path.stem for path in files} == {"audit", "refusals", "events"}
    for secret in SECRETS:
        for path in (*files, folder / "log"):
            assert secret.encode() not in path.read_bytes(), (secret, path)
    for path in files:
        for secret in (used["secret"], used["token"]):
            assert secret.encode() not in path.read_bytes()
    assert b"CreateAvailabilityConfiguration" in (folder / "data" / "logs" / "audit.jsonl").read_bytes()


def test_the_command_shows_what_is_asked_for(used: dict[str, str], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*arguments: str) -> str:
        assert cli.main(["audit", "--config", str(config), *arguments]) == 0
        return capsys.readouterr().out

    def rows(*arguments: str) -> list[str]:
        return shown(*arguments).splitlines()[1:]

    everything = rows()
    assert len(everything) == 13
    assert len(rows("--organization", used["organization"])) == 9  # CreateOrganization too, but neither the refused signature nor IAM and STS
    assert [row.split()[3] for row in rows("--operation", "sts:*")] == ["sts:AssumeRole", "sts:GetCallerIdentity"]
    (session,) = rows("--operation", "getcalleridentity")
    assert session.split()[1] == "helpdesk/monday"
    assert [session] == rows("--user", "helpdesk") == rows("--user", "helpdesk/monday")
    assert [row.split()[3] for row in rows("--operation", "Create*", "--errors")] == ["CreateUser"]
    assert [row.split()[-1] for row in rows("--errors")] == [
        "InvalidPasswordException",
        "EntityNotFoundException",
        "InvalidSignatureException",
    ]
    assert rows("--since", "1h") == everything
    assert rows("--since", "2099-01-01") == []
    assert rows("--user", used["key"]) == [row for row in everything if row != session]
    assert rows("--user", "nobody") == []
    assert json.loads(shown("--json", "--operation", "resetpassword"))["eventName"] == "ResetPassword"
    line = shown("--json", "--errors").splitlines()[-1]
    assert "\x9b" in json.loads(line)["userAgent"]
    assert line.isprintable()
    wrong = postroom(config, "audit", "--since", "yesterday")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "postroom: --since yesterday: neither a time such as 2026-07-01T12:00Z nor an age such as 12h\n",
    )


def test_a_letter_sent_is_among_the_events(used: dict[str, str], folder: Path) -> None:
    found = records(folder, "events")
    assert [record["event"]["eventName"] for record in found] == [
        "OUTGOING_EMAIL_SUBMITTED",
        "OUTGOING_EMAIL_SENT",
        "ORGANIZATION_EMAIL_RECEIVED",
        "MAILBOX_EMAIL_DELIVERED",
    ]
    assert {record["organizationId"] for record in found} == {used["organization"]}


def test_whatever_the_models_call_secret_is_hidden() -> None:
    for service in ("workmail", "iam", "sts"):
        for operation in load(service).operations.values():
            for shape in (operation.input, operation.output):
                if shape is not None:
                    _check(shape, audit.shown(shape))


def _check(shape: Any, show: Any) -> None:
    """Show a structure full of one word, and look for it where a secret stands."""
    for member in shape.members:
        value = {member.name: "sesame"} if member.shape.kind != "list" else {member.name: ["sesame"]}
        if member.shape.kind == "structure":
            _check(member.shape, audit.shown(member.shape))
        elif member.shape.sensitive or member.name in audit.SECRET:
            assert "sesame" not in json.dumps(show(value)), (shape.name, member.name)
        elif member.shape.kind == "list" and member.shape.member.kind == "structure":
            _check(member.shape.member, audit.shown(member.shape.member))


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_long_request_is_not_kept_while_its_record_waits(store: Store, tmp_path: Path) -> None:
    class Text(str):
        pass

    log = AuditLog(store, tmp_path / "logs", Settings(), region="us-east-1", account="123456789012")
    request = Request("POST", "/", "", {}, "192.0.2.1", secure=True)
    caller = Caller("123456789012", "us-east-1", "AKIA1", Identity("AIDA1", "ann"), "192.0.2.1", secure=True)
    service = cast("Service", SimpleNamespace(name="iam"))
    params: list[Any] = [{"UserName": "ann", "PolicyDocument": Text("{}" + " " * 500_000)}]
    kept = weakref.ref(params[0]["PolicyDocument"])
    log.note(Exchange(request, service, octets=500_100, name="PutUserPolicy", params=params.pop(), caller=caller))
    assert kept() is None
    log.start()
    log.close(10.0)
    (line,) = journal.lines(tmp_path / "logs", "audit")
    assert json.loads(line)["requestParameters"] == {"userName": "ann"}
