"""Amazon's own tools against the administration API: the AWS command line, and boto3 from hiring to retiring somebody."""

from __future__ import annotations

import json
import os
import smtplib
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.interop.reader import Reader
from tests.interop.tools import need
from tests.program import Ready, User


def aws(ready: Ready, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the AWS command line, from this environment where it is there."""
    beside = Path(sys.executable).with_name("aws")
    path = str(beside) if beside.exists() else need("aws", "awscli")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_ACCESS_KEY_ID": ready.access_key_id,
        "AWS_SECRET_ACCESS_KEY": ready.secret_access_key,
        "AWS_DEFAULT_REGION": ready.region,
        "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    if ready.api.startswith("https"):
        environment["AWS_CA_BUNDLE"] = ready.ca_file
    command = [path, "--endpoint-url", ready.api, "workmail", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_the_command_line_lists_users(ready):
    result = aws(ready, "list-users", "--organization-id", ready.organization_id)
    assert result.returncode == 0, result.stderr
    users = {user["Email"]: user["State"] for user in json.loads(result.stdout)["Users"] if "Email" in user}
    assert all(users[user.email] == "ENABLED" for user in ready.users)


def test_the_command_line_pages(ready, hired):
    for _ in range(3):
        hired()
    pages = aws(ready, "list-users", "--organization-id", ready.organization_id, "--page-size", "2", "--query", "Users[].Id")
    assert pages.returncode == 0, pages.stderr
    whole = [user["Id"] for user in ready.workmail().list_users(OrganizationId=ready.organization_id, MaxResults=100)["Users"]]
    assert json.loads(pages.stdout) == whole
    assert len(set(whole)) == len(whole)


def test_the_command_line_shows_errors(ready):
    result = aws(ready, "describe-user", "--organization-id", ready.organization_id, "--user-id", str(uuid.uuid4()))
    assert result.returncode != 0
    assert "(EntityNotFoundException) when calling the DescribeUser operation" in result.stderr
    stranger = aws(
        Ready(**{name: getattr(ready, name) for name in Ready.__slots__ if name != "secret_access_key"}, secret_access_key="x" * 40),
        "list-organizations",
    )
    assert "(InvalidSignatureException)" in stranger.stderr or "(SignatureDoesNotMatch)" in stranger.stderr


def test_boto3_from_hiring_to_retiring(ready):
    """Each step is seen by the mail servers at once."""
    workmail, organization = ready.workmail(), ready.organization_id
    name = f"person-{uuid.uuid4().hex[:8]}"
    password = "Correct-Horse-7x"
    email = f"{name}@{ready.domain}"
    identity = workmail.create_user(OrganizationId=organization, Name=name, DisplayName="A Person", Password=password)["UserId"]
    person = User(identity, email, password)
    assert workmail.describe_user(OrganizationId=organization, UserId=identity)["State"] == "DISABLED"
    assert refused(ready, email), "not registered to mail yet"

    workmail.register_to_work_mail(OrganizationId=organization, EntityId=identity, Email=email)
    assert deliver(ready, email) == {}
    with Reader(ready, person) as reader:
        reader.await_letter(b"hello")

    alias = f"also-{name}@{ready.domain}"
    workmail.create_alias(OrganizationId=organization, EntityId=identity, Alias=alias)
    assert deliver(ready, alias) == {}

    group = workmail.create_group(OrganizationId=organization, Name=f"group-{name}")["GroupId"]
    group_email = f"group-{name}@{ready.domain}"
    workmail.register_to_work_mail(OrganizationId=organization, EntityId=group, Email=group_email)
    workmail.associate_member_to_group(OrganizationId=organization, GroupId=group, MemberId=identity)
    assert deliver(ready, group_email) == {}
    with Reader(ready, person) as reader:
        assert len(reader.letters()) == 3

    workmail.reset_password(OrganizationId=organization, UserId=identity, Password="Other-Horse-8y")
    with pytest.raises(Exception, match=r"AUTHENTICATIONFAILED|[Aa]uthentication|invalid"):
        Reader(ready, person)
    person = User(identity, email, "Other-Horse-8y")
    with Reader(ready, person) as reader:
        assert len(reader.letters()) == 3

    details = workmail.get_mailbox_details(OrganizationId=organization, UserId=identity)
    assert details["MailboxSize"] > 0 or details["MailboxQuota"] > 0
    workmail.delete_alias(OrganizationId=organization, EntityId=identity, Alias=alias)
    assert refused(ready, alias)

    workmail.deregister_from_work_mail(OrganizationId=organization, EntityId=identity)
    assert refused(ready, email)
    with pytest.raises(Exception, match=r"AUTHENTICATIONFAILED|[Aa]uthentication|invalid"):
        Reader(ready, person)
    workmail.delete_user(OrganizationId=organization, UserId=identity)
    listed = workmail.list_users(OrganizationId=organization, MaxResults=100)["Users"]
    assert all(user["State"] == "DELETED" for user in listed if user["Id"] == identity)


def test_another_organization_is_another_world(ready):
    workmail = ready.workmail()
    alias = f"other-{uuid.uuid4().hex[:8]}"
    other = workmail.create_organization(Alias=alias)["OrganizationId"]
    for _ in range(50):
        described = workmail.describe_organization(OrganizationId=other)
        if described["State"] == "Active":
            break
    assert described["State"] == "Active"
    assert described["Alias"] == alias
    domain = described["DefaultMailDomain"]
    password = "Correct-Horse-7x"
    identity = workmail.create_user(OrganizationId=other, Name="carol", DisplayName="Carol", Password=password)["UserId"]
    workmail.register_to_work_mail(OrganizationId=other, EntityId=identity, Email=f"carol@{domain}")
    carol = User(identity, f"carol@{domain}", password)
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        workmail.describe_entity(OrganizationId=ready.organization_id, Email=carol.email)
    # mail crosses from one to the other inside the program
    writer = ready.users[0]
    with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30) as smtp:
        smtp.login(writer.email, writer.password)
        smtp.sendmail(writer.email, [carol.email], f"From: {writer.email}\r\nSubject: across\r\n\r\nfrom next door\r\n")
    with Reader(ready, carol) as reader:
        reader.await_letter(b"from next door")
    workmail.delete_organization(OrganizationId=other, DeleteDirectory=True, ForceDelete=True)
    assert refused(ready, carol.email)


def deliver(ready: Ready, recipient: str) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP(*ready.smtp, timeout=30) as smtp:
        return smtp.sendmail("bob@stranger.test", [recipient], b"From: bob@stranger.test\r\nSubject: hi\r\n\r\nhello\r\n")


def refused(ready: Ready, recipient: str) -> bool:
    """Tell whether an address is refused at RCPT, as unknown or as none of ours."""
    with smtplib.SMTP(*ready.smtp, timeout=30) as smtp:
        smtp.helo("stranger.test")
        smtp.mail("bob@stranger.test")
        code, text = smtp.rcpt(recipient)
        return code == 550 and text.startswith((b"5.1.", b"5.7.1"))
