"""Access control rules put through the API, as mail clients feel them: at the door, and in the middle of what they do."""

from __future__ import annotations

import json
import re
import smtplib
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from tests.conftest import ENGINES, POSTGRES_DSN
from tests.interop.test_aws import aws
from tests.interop.tools import need, run
from tests.program import COMMAND, Program, Ready, User, hire, running

SWAKS_NOT_SIGNED_IN = 28
LARGE = b"Subject: large\r\n\r\n" + b"a line of sixty-two octets, and many of them make a large one\r\n" * 8000
COPIES = 40


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """Run two programs on one database; the API is that of one, everything else the other's."""
    if "postgresql" not in ENGINES:
        pytest.skip("no PostgreSQL")
    import psycopg

    folder, name = tmp_path_factory.mktemp("neighbours"), f"postroom_test_{uuid.uuid4().hex[:12]}"
    config = folder / "postroom.toml"
    config.write_text(laboratory(POSTGRES_DSN.replace("dbname=postgres", f"dbname={name}")))
    with psycopg.connect(POSTGRES_DSN, autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name}".encode())
        try:
            create = [*COMMAND, "keys", "--config", str(config), "create", "admin", "--full"]
            key = subprocess.run(create, capture_output=True, text=True, check=True)
            id, secret = re.findall(r"^AWS_\w+=(.+)$", key.stdout, re.MULTILINE)[:2]
            serve = ["serve", "--config", str(config)]
            with running(Program(serve, folder / "one")) as one, running(Program(serve, folder / "other")) as other:
                ready = replace(one.ready, api=other.ready.api, access_key_id=id, secret_access_key=secret, domain="rules.lab.test")
                yield replace(ready, organization_id=ready.workmail().create_organization(Alias="rules")["OrganizationId"])
        finally:
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(params=["alone", "neighbours"])
def place(request: pytest.FixtureRequest, program: Program) -> Ready:
    """The demo, or the two programs."""
    if request.param == "alone":
        return program.ready
    if request.node.callspec.params["program"] != "postgresql":
        pytest.skip("an embedded store is served by one program")
    place: Ready = request.getfixturevalue("neighbours")
    return place


def laboratory(dsn: str) -> str:
    """Configure a server on free ports whose store is a database."""
    free = '["127.0.0.1:0"]'
    doors = "".join(f"[{door}]\nlisten = {free}\nlisten_tls = {free}\n" for door in ("submission", "imap", "managesieve"))
    return (
        f'data = "data"\n[storage]\nengine = "postgresql"\ndsn = "{dsn}"\n[api]\nlisten = {free}\n[smtp]\nlisten = {free}\n{doors}'
        '[mail]\nhostname = "mail.lab.test"\n[domains]\nbase = "lab.test"\nverify = false\n'
    )


@pytest.fixture
def person(place: Ready) -> User:
    """Somebody new there."""
    return hire(place, f"person-{uuid.uuid4().hex[:8]}")


@contextmanager
def denied(ready: Ready, **conditions: list[str]) -> Iterator[str]:
    """Put a rule that denies, for as long as the block lasts."""
    workmail, name = ready.workmail(), f"rule-{uuid.uuid4().hex[:8]}"
    workmail.put_access_control_rule(OrganizationId=ready.organization_id, Name=name, Effect="DENY", Description="No", **conditions)
    try:
        yield name
    finally:
        workmail.delete_access_control_rule(OrganizationId=ready.organization_id, Name=name)


def connected(ready: Ready) -> IMAPClient:
    return IMAPClient(*ready.imaps, ssl=True, ssl_context=ready.tls(), timeout=30)


def signed_in(ready: Ready, user: User) -> IMAPClient:
    imap = connected(ready)
    imap.login(user.email, user.password)
    return imap


def submitting(ready: Ready, user: User) -> smtplib.SMTP_SSL:
    smtp = smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30)
    smtp.login(user.email, user.password)
    return smtp


def read_on(imap: IMAPClient) -> bytes:
    """Read all that the server still says, to the end of the connection."""
    heard = b""
    while more := imap.socket().recv(1 << 20):
        heard += more
    return heard


@pytest.mark.effect("PutAccessControlRule", "DeleteAccessControlRule")
def test_imap_is_refused_at_the_door_and_idle_clients_are_told_to_go(place: Ready, person: User) -> None:
    idle, silent, other = signed_in(place, person), signed_in(place, person), signed_in(place, hire(place, f"other-{uuid.uuid4().hex[:8]}"))
    idle.select_folder("INBOX")
    idle.idle()
    with denied(place, Actions=["IMAP"], UserIds=[person.id]), connected(place) as late:
        assert re.fullmatch(rb"\* BYE .*\r\n", read_on(idle))
        assert re.fullmatch(rb"\* BYE .*\r\n", read_on(silent))
        with pytest.raises(LoginError):
            late.login(person.email, person.password)
        other.noop()
        submitting(place, person).quit()
    with signed_in(place, person) as again:
        again.select_folder("INBOX")
    other.logout()


def test_a_busy_imap_client_is_told_to_go_between_two_messages(place: Ready, person: User) -> None:
    busy = signed_in(place, person)
    busy.append("INBOX", LARGE)
    busy.select_folder("INBOX")
    for _ in range(COPIES):
        busy.copy([1], "INBOX")
    busy.socket().sendall(b"f FETCH 1:* BODY.PEEK[]\r\n")
    heard = busy.socket().recv(1000)
    with denied(place, IpRanges=["127.0.0.0/8"], UserIds=[person.id]):
        heard += read_on(busy)
    assert re.search(rb"\)\r\n\* BYE [^\n]*\r\n\Z", heard)
    assert b"\r\nf OK" not in heard
    assert heard.count(LARGE) < COPIES


@pytest.mark.effect("PutAccessControlRule", "DeleteAccessControlRule")
def test_submission_is_refused_at_the_door_and_within_a_session(place: Ready, person: User) -> None:
    letter = f"From: {person.email}\r\nSubject: x\r\n\r\nx\r\n"
    smtp, begun = submitting(place, person), submitting(place, person)
    smtp.sendmail(person.email, [person.email], letter)
    assert begun.mail(person.email)[0] == begun.rcpt(person.email)[0] == 250
    with denied(place, Actions=["SMTP"], UserIds=[person.id]):
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            smtp.sendmail(person.email, [person.email], letter)
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (550, b"5.7.1")
        code, text = begun.data(letter)
        assert (code, text[:5]) == (550, b"5.7.1")
        with pytest.raises(smtplib.SMTPAuthenticationError) as unknown:
            submitting(place, person)
        assert (unknown.value.smtp_code, unknown.value.smtp_error[:5]) == (535, b"5.7.8")
        signed_in(place, person).logout()
    smtp.sendmail(person.email, [person.email], letter)
    with signed_in(place, person) as imap:
        assert imap.select_folder("INBOX")[b"EXISTS"] == 2


def test_swaks_is_refused(ready: Ready, user: User) -> None:
    host, port = ready.submission
    options = ["--server", host, "--port", str(port), "--tls", "--auth", "PLAIN", "--auth-user", user.email]
    command = [need("swaks", "swaks"), *options, "--auth-password", user.password, "--from", user.email, "--to", user.email]
    with denied(ready, Actions=["SMTP"], UserIds=[user.id]):
        refused = run(command)
        assert refused.returncode == SWAKS_NOT_SIGNED_IN
        assert b"535 5.7.8" in refused.stdout
        assert b"rule" not in refused.stdout
    assert run(command).returncode == 0


@pytest.mark.effect("ResetPassword")
def test_a_new_password_ends_what_the_old_one_opened(place: Ready, person: User) -> None:
    idle, smtp = signed_in(place, person), submitting(place, person)
    idle.select_folder("INBOX")
    idle.idle()
    changed = replace(person, password="Another-Horse-8")
    place.workmail().reset_password(OrganizationId=place.organization_id, UserId=person.id, Password=changed.password)
    assert re.fullmatch(rb"\* BYE .*\r\n", read_on(idle))
    assert smtp.mail(person.email)[0] == 550
    signed_in(place, changed).logout()


@pytest.mark.effect("GetAccessControlEffect", "ListAccessControlRules")
def test_the_command_line_says_what_a_rule_would_do(ready: Ready, user: User) -> None:
    """The example of the AWS command line."""
    question = ["get-access-control-effect", "--organization-id", ready.organization_id, "--ip-address", "192.0.2.0"]
    question += ["--action", "WindowsOutlook", "--user-id", user.id]
    with denied(ready, UserIds=[user.id]) as name:
        answer = aws(ready, *question)
        assert json.loads(answer.stdout) == {"Effect": "DENY", "MatchedRules": [name]}
        listed = aws(ready, "list-access-control-rules", "--organization-id", ready.organization_id, "--query", "Rules[].Name")
        assert name in json.loads(listed.stdout)
    assert json.loads(aws(ready, *question).stdout) == {"Effect": "ALLOW", "MatchedRules": ["default"]}
