"""The whole program with rules of its configuration: hooks over HTTP, functions through the AWS client, letters replaced on their way."""

from __future__ import annotations

import email
import json
import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.hook_server import SECRET, Hook, Reply, answer, hook_server
from tests.interop.reader import Reader
from tests.program import Program, User, running
from tests.server.served import configured, eventually, key_of, postroom, workmail

ARN = "arn:aws:lambda:us-east-1:123456789012:function:scan"
SETTINGS = """
[domains]
verify = false
[exports.buckets]
letters = "letters"
[aws]
enabled = true
access_key_id = "key"
secret_access_key = "sesame-of-aws"
endpoints = {{ lambda = "{aws}" }}
[hooks.scan]
url = "{hook}"
secret = "{secret}"
[organizations.lab.inbound."ask about all"]
action = "run-lambda"
hook = "scan"
wait = true
minutes = 5
fallback = "junk"
[organizations.lab.inbound.partners]
action = "default"
senders = ["partner.test"]
[organizations.lab.outbound.disclaimer]
action = "run-lambda"
hook = "{arn}"
wait = true
[organizations.lab.journal]
journal = "records@lab.postroom.test"
report = "ann@lab.postroom.test"
"""


class Lab:
    """The program, its organization, and what it calls."""

    def __init__(self, program: Program, hook: Hook, functions: Hook, letters: Path) -> None:
        self.program, self.hook, self.functions, self.letters = program, hook, functions, letters
        self.key = key_of(program)
        client = workmail(program)
        self.organization = client.create_organization(Alias="lab")["OrganizationId"]
        self.people = {name: self.hire(client, name) for name in ("ann", "ben", "records")}

    def hire(self, client: Any, name: str) -> User:
        made = client.create_user(OrganizationId=self.organization, Name=name, DisplayName=name, Password="Correct-Horse-7x")["UserId"]
        address = f"{name}@lab.postroom.test"
        client.register_to_work_mail(OrganizationId=self.organization, EntityId=made, Email=address)
        return User(made, address, "Correct-Horse-7x")

    def flow(self) -> Any:
        session = boto3.Session(*self.key, region_name="us-east-1")
        return session.client("workmailmessageflow", endpoint_url=self.program.ready.api)

    def replace(self, event: dict[str, Any], old: bytes, new: bytes) -> None:
        """Put another letter in the place of the one that a hook is asked about, as its program does."""
        flow = self.flow()
        raw = flow.get_raw_message_content(messageId=event["messageId"])["messageContent"].read()
        (self.letters / event["invocationId"]).write_bytes(raw.replace(old, new))
        reference = {"bucket": "letters", "key": event["invocationId"]}
        flow.put_raw_message_content(messageId=event["messageId"], content={"s3Reference": reference})

    def letters_of(self, name: str, folder: str = "INBOX") -> list[bytes]:
        with Reader(self.program.ready, self.people[name]) as reader:
            return list(reader.letters(folder).values())

    def arrive(self, subject: str, sender: str = "bob@far.test", to: str = "ann") -> None:
        with smtplib.SMTP(*self.program.ready.smtp, timeout=20) as smtp:
            smtp.sendmail(sender, [self.people[to].email], text(sender, subject))

    def submit(self, subject: str, sender: str, to: str) -> None:
        user = self.people[sender]
        with smtplib.SMTP_SSL(*self.program.ready.submissions, context=self.program.ready.tls(), timeout=20) as smtp:
            smtp.login(user.email, user.password)
            smtp.sendmail(user.email, [self.people[to].email], text(user.email, subject))

    def subjects(self, name: str, folder: str = "INBOX") -> list[str]:
        return [str(email.message_from_bytes(raw)["Subject"]) for raw in self.letters_of(name, folder)]


def text(sender: str, subject: str) -> bytes:
    lines = (f"From: {sender}", "To: you@lab.postroom.test", f"Subject: {subject}", "Date: Sun, 29 Nov 2026 12:00:00 +0000")
    return "\r\n".join((*lines, f"Message-ID: <{subject}@far.test>", "", "one two three", "")).encode()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "letters").mkdir()
    with hook_server() as hook, hook_server() as functions:
        origin = functions.url.partition("/hook")[0]
        config = configured(folder, SETTINGS.format(hook=hook.url, secret=SECRET, aws=origin, arn=ARN))
        with running(Program(["serve", "--config", str(config)], folder)) as program:
            found = Lab(program, hook, functions, folder / "letters")
            # an organization that is made while the server runs gets its rules within a minute; a start is quicker
            program.stop()
            program.launch()
            program.await_ready()
            yield found


@pytest.fixture(autouse=True)
def usual(lab: Lab) -> None:
    """Let the hook answer as usual, and the function of AWS Lambda, whose answer is its result."""
    for one in (lab.hook, lab.functions):
        one.reply = lambda event: answer(("DEFAULT", None))
        one.events.clear()


def test_a_letter_is_replaced_while_its_hook_is_asked(lab: Lab) -> None:
    def reply(event: dict[str, Any]) -> Reply:
        lab.replace(event, b"three", b"four")
        return answer(("DEFAULT", None))

    lab.hook.reply = reply
    lab.arrive("replaced")
    (raw,) = eventually(lambda: [raw for raw in lab.letters_of("ann") if b"Subject: replaced" in raw])
    assert b"one two four" in raw
    assert raw.startswith(b"Return-Path: <bob@far.test>\r\n")
    (record,) = eventually(lambda: [raw for raw in lab.letters_of("records") if b"Recipient: ann@lab" in raw])
    assert b"one two four" in record
    assert lab.hook.forged == 0


def test_a_rule_that_is_closer_leaves_the_hook_alone(lab: Lab) -> None:
    lab.arrive("from a partner", sender="x@partner.test")
    eventually(lambda: "from a partner" in lab.subjects("ann"))
    assert lab.hook.events == []


def test_junk_is_what_the_hook_says(lab: Lab) -> None:
    lab.hook.reply = lambda event: answer(("MOVE_TO_JUNK", [lab.people["ann"].email]))
    lab.arrive("buy")
    eventually(lambda: "buy" in lab.subjects("ann", "Junk Email"))


def test_what_users_send_is_asked_of_a_function_of_lambda(lab: Lab) -> None:
    def reply(event: dict[str, Any]) -> Reply:
        if event["flowDirection"] == "OUTBOUND":
            lab.replace(event, b"three", b"disclaimed")
        return answer(("DEFAULT", None))

    lab.functions.reply = reply
    lab.submit("among us", "ann", "ben")
    (raw,) = eventually(lambda: [raw for raw in lab.letters_of("ben") if b"Subject: among us" in raw])
    assert b"one two disclaimed" in raw
    assert [(event["flowDirection"], event["envelope"]["recipients"]) for event in (*lab.functions.events, *lab.hook.events)] == [
        ("OUTBOUND", [{"address": "ben@lab.postroom.test"}]),
        ("INBOUND", [{"address": "ben@lab.postroom.test"}]),
    ]
    assert lab.functions.paths == [f"/2015-03-31/functions/{ARN.replace(':', '%3A')}/invocations"]
    assert "sesame-of-aws" not in lab.program.log.read_text()


def test_the_rules_of_the_configuration_are_shown_as_such_and_stay(lab: Lab) -> None:
    config = lab.program.folder / "postroom.toml"
    listed = postroom(config, "flow", "list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split(maxsplit=1)[1].split("  ")[0] for line in listed.stdout.splitlines()] == ["ask about all", "partners", "disclaimer"]
    assert listed.stdout.count("from the configuration") == 3
    for refused in (
        postroom(config, "flow", "delete", "in", "partners"),
        postroom(config, "flow", "put", "in", "partners", "drop"),
        postroom(config, "journal", "off"),
    ):
        assert refused.returncode != 0
        assert "stands in the configuration" in refused.stderr
    assert "from the configuration" in postroom(config, "journal", "show").stdout


def test_letters_that_wait_are_listed(lab: Lab) -> None:
    config = lab.program.folder / "postroom.toml"
    lab.hook.reply = lambda event: (503, {}, b"")
    lab.arrive("patience")
    (line,) = eventually(lambda: postroom(config, "flow", "waiting").stdout.splitlines())
    assert "patience" not in line
    assert "scan" in line
    assert "The hook answers 503" in line
    lab.hook.reply = lambda event: answer(("DEFAULT", None))
    eventually(lambda: "patience" in lab.subjects("ann"))
    assert json.loads(json.dumps(lab.hook.events))[0]["subject"] == "patience"
