"""Personal access tokens in real mail clients, against the whole program: `postroom tokens` makes them, the API takes them away."""

from __future__ import annotations

import json
import re
import smtplib
import subprocess
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from tests.interop.tools import need, run
from tests.program import COMMAND, Program, Ready, User, hire

INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
SWAKS_NOT_SIGNED_IN = 28


@dataclass(frozen=True)
class Place:
    """A running program, an organization of this test's own there, and the command line beside it."""

    ready: Ready
    config: Path
    alias: str
    log: Path | None = None

    def tokens(self, *arguments: str, fails: bool = False) -> str:
        command = [*COMMAND, "tokens", "--config", str(self.config), "--organization", self.alias, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, bool(done.stderr)) == ((1, True) if fails else (0, False)), (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def make(self, user: User, *options: str) -> tuple[str, str]:
        """Make a token; gives its id and the text that opens."""
        printed = self.tokens("create", user.email, "--name", "phone", *options)
        text, id = re.findall(r"^(?:Token|Id): +(\S+)$", printed, re.MULTILINE)
        return id, text

    def call(self, operation: str, **params: object) -> dict[str, object]:
        answer: dict[str, object] = getattr(self.ready.workmail(), operation)(OrganizationId=self.ready.organization_id, **params)
        return answer

    def put(self, mode: str = "IDENTITY_PROVIDER_AND_DIRECTORY", **tokens: object) -> None:
        arn = self.ready.workmail().create_identity_center_application(Name="mail", InstanceArn=INSTANCE)["ApplicationArn"]
        self.call(
            "put_identity_provider_configuration",
            AuthenticationMode=mode,
            IdentityCenterConfiguration={"InstanceArn": INSTANCE, "ApplicationArn": arn},
            PersonalAccessTokenConfiguration=tokens or {"Status": "ACTIVE"},
        )

    def imap(self, user: User, password: str) -> IMAPClient:
        client = IMAPClient(*self.ready.imaps, ssl=True, ssl_context=self.ready.tls(), timeout=30)
        client.login(user.email, password)
        return client

    def smtp(self, user: User, password: str) -> smtplib.SMTP_SSL:
        client = smtplib.SMTP_SSL(*self.ready.submissions, context=self.ready.tls(), timeout=30)
        client.login(user.email, password)
        return client

    def opens(self, user: User, password: str) -> tuple[bool, bool]:
        """Say whether a password, or what stands in its place, opens IMAP and submission."""
        try:
            self.imap(user, password).logout()
            imap = True
        except LoginError:
            imap = False
        try:
            self.smtp(user, password).close()
            return imap, True
        except smtplib.SMTPAuthenticationError:
            return imap, False


def settle(ready: Ready, config: Path, log: Path | None = None) -> Place:
    """Make a new organization in a program."""
    alias = f"tokens-{uuid.uuid4().hex[:8]}"
    organization = ready.workmail().create_organization(Alias=alias)["OrganizationId"]
    domain = ready.workmail().describe_organization(OrganizationId=organization)["DefaultMailDomain"]
    return Place(replace(ready, organization_id=organization, domain=domain), config, alias, log)


@pytest.fixture
def place(program: Program) -> Place:
    """A new organization in the demo; on PostgreSQL with its log, which the embedded one keeps to itself."""
    config = program.folder / "data" / "postroom.toml"
    return settle(program.ready, config, program.log if "postgresql" in config.read_text() else None)


def read_on(imap: IMAPClient) -> bytes:
    """Read all that the server still says, to the end of the connection."""
    heard = b""
    while more := imap.socket().recv(1 << 20):
        heard += more
    return heard


@pytest.mark.effect(
    "CreateIdentityCenterApplication",
    "PutIdentityProviderConfiguration",
    "DescribeIdentityProviderConfiguration",
    "DeleteIdentityProviderConfiguration",
    "ListPersonalAccessTokens",
    "GetPersonalAccessTokenMetadata",
)
def test_from_passwords_to_tokens_and_back(place: Place) -> None:
    person = hire(place.ready, "person")
    place.put(Status="ACTIVE", LifetimeInDays=30)
    id, text = place.make(person)
    assert place.opens(person, person.password) == place.opens(person, text) == (True, True)
    place.put("IDENTITY_PROVIDER_ONLY")
    assert place.opens(person, person.password) == (False, False)
    letter = f"From: {person.email}\r\nSubject: by token\r\n\r\nx\r\n"
    with place.smtp(person, text) as smtp:
        smtp.sendmail(person.email, [person.email], letter)
    with place.imap(person, text) as imap:
        assert imap.select_folder("INBOX")[b"EXISTS"] == 1
    place.put("IDENTITY_PROVIDER_ONLY", Status="INACTIVE")
    assert place.opens(person, text) == place.opens(person, person.password) == (False, False)
    place.call("delete_identity_provider_configuration")
    assert place.opens(person, text) == (False, False)
    assert place.opens(person, person.password) == (True, True)
    shown = place.call("get_personal_access_token_metadata", PersonalAccessTokenId=id)
    assert shown["DateCreated"] <= shown["DateLastUsed"] < shown["ExpiresTime"]  # type: ignore[operator]
    if place.log is not None:
        entries = [json.loads(line) for line in place.log.read_text().splitlines() if id in line]
        assert {(entry["event"], entry.get("reason")) for entry in entries} == {
            ("signed_in_by_token", None),
            ("sign_in_failed", "token_inactive"),
        }
        assert text not in place.log.read_text()


@pytest.mark.effect("DeletePersonalAccessToken", "PutIdentityProviderConfiguration")
def test_a_token_taken_away_ends_what_it_opened(place: Place) -> None:
    person = hire(place.ready, "person")
    place.put()
    (id, text), (_, other) = place.make(person), place.make(person, "--days", "7")
    idle, stays, smtp = place.imap(person, text), place.imap(person, other), place.smtp(person, text)
    idle.select_folder("INBOX")
    idle.idle()
    place.call("delete_personal_access_token", PersonalAccessTokenId=id)
    assert re.fullmatch(rb"\* BYE .*\r\n", read_on(idle))
    code, answer = smtp.mail(person.email)
    assert (code, answer[:5]) == (550, b"5.7.1")
    assert place.opens(person, text) == (False, False)
    stays.noop()
    password = place.imap(person, person.password)
    password.select_folder("INBOX")
    password.idle()
    place.put("IDENTITY_PROVIDER_ONLY")
    assert re.fullmatch(rb"\* BYE .*\r\n", read_on(password))
    stays.noop()


def test_a_token_of_one_protocol_and_one_ended_by_the_command_line(place: Place) -> None:
    person = hire(place.ready, "person")
    assert "PutIdentityProviderConfiguration" in place.tokens("create", "person", "--name", "phone", fails=True)
    place.put()
    id, text = place.make(person, "--scope", "smtp")
    assert place.opens(person, text) == (False, True)
    listed = place.tokens("list", "person")
    assert re.search(rf"^{id} +{person.id} .* SMTP +phone$", listed, re.MULTILINE)
    assert text not in listed
    assert "POP3 is not a scope" in place.tokens("create", "person", "--name", "x", "--scope", "POP3", fails=True)
    place.tokens("delete", id)
    assert place.opens(person, text) == (False, False)
    id, text = place.make(person)
    idle = place.imap(person, text)
    idle.select_folder("INBOX")
    idle.idle()
    place.tokens("delete", id)
    assert re.fullmatch(rb"\* BYE .*\r\n", read_on(idle))
    assert "There is no personal access token" in place.tokens("delete", "absent", fails=True)


def test_anothers_mailbox_with_a_token(place: Place) -> None:
    place.put()
    person, owner = hire(place.ready, "person"), hire(place.ready, "owner")
    _, text = place.make(person)
    both = User(person.id, f"{owner.email}*{person.email}", "")
    assert place.opens(both, text) == (False, False)
    place.call("put_mailbox_permissions", EntityId=owner.id, GranteeId=person.id, PermissionValues=["FULL_ACCESS", "SEND_AS"])
    assert place.opens(both, text) == (True, True)
    with place.imap(both, text) as imap:
        imap.append("INBOX", b"Subject: into the owner's\r\n\r\nx\r\n")
    with place.imap(owner, owner.password) as imap:
        assert imap.select_folder("INBOX")[b"EXISTS"] == 1
    with IMAPClient(*place.ready.imaps, ssl=True, ssl_context=place.ready.tls(), timeout=30) as imap:
        imap.plain_login(person.email, text, owner.email)
        assert imap.select_folder("INBOX")[b"EXISTS"] == 1


def test_swaks_sends_with_a_token(place: Place) -> None:
    place.put("IDENTITY_PROVIDER_ONLY")
    person = hire(place.ready, "person")
    _, text = place.make(person)
    host, port = place.ready.submission
    command = [need("swaks", "swaks"), "--server", host, "--port", str(port), "--tls", "--from", person.email, "--to", person.email]
    for how in ("PLAIN", "LOGIN"):
        auth = ["--auth", how, "--auth-user", person.email, "--auth-password"]
        assert run([*command, *auth, text]).returncode == 0
        refused = run([*command, *auth, person.password])
        assert (refused.returncode, b"535 5.7.8" in refused.stdout) == (SWAKS_NOT_SIGNED_IN, True)
