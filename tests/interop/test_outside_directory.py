"""Users and groups out of Debian's slapd, as boto3, imapclient and smtplib meet them, while it is there and while it is not."""

from __future__ import annotations

import re
import smtplib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from tests.interop.reader import Reader
from tests.program import COMMAND, Program, Ready, User, running
from tests.slapd import GROUPS, READER_DN, SECRET, SUFFIX, Slapd, dn_of, group, person

DIRECTORY, ABSENT, CONNECTOR = "d-00000000aa", "d-00000000bb", "d-00000000cc"
PASSWORDS = {name: f"{name.title()}-Password-1" for name in ("alice", "bob", "carol", "dora")}
LETTER = "From: alice@office.lab.test\r\nTo: staff@office.lab.test\r\nSubject: {subject}\r\n\r\nHello\r\n"


def laboratory(slapd: Slapd) -> str:
    """Configure a server on free ports, with a directory, and another one that is not there."""
    free = '["127.0.0.1:0"]'
    doors = "".join(f"[{door}]\nlisten = {free}\nlisten_tls = {free}\n" for door in ("submission", "imap", "managesieve"))
    account = f'bind_dn = "{READER_DN}"\nbase = "{SUFFIX}"\nca = "{slapd.ca}"\nconnect_seconds = 2.0\n'
    return (
        f'data = "data"\n[api]\nlisten = {free}\n[smtp]\nlisten = {free}\n{doors}'
        '[mail]\nhostname = "mail.lab.test"\n[domains]\nbase = "lab.test"\nverify = false\n'
        f'[directories.office]\nid = "{DIRECTORY}"\nurls = ["{slapd.url}"]\nbind_password_file = "secret"\npage = 20\n{account}'
        f'[directories.absent]\nid = "{ABSENT}"\nurls = ["ldaps://127.0.0.1:1"]\nbind_password = "x"\n{account}'
        f'[directories.connector]\nid = "{CONNECTOR}"\ntype = "active-directory"\nurls = ["{slapd.url}"]\nbind_password = "{SECRET}"\n{account}'
    )


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A directory with four people, and a group in a group."""
    server = Slapd(tmp_path_factory.mktemp("slapd"))
    try:
        server.add(*(person(name, password, "l: Anytown") for name, password in PASSWORDS.items()))
        server.add(group("inner", dn_of("bob")), group("staff", dn_of("alice").upper(), f"cn=inner,{GROUPS}"))
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def program(slapd: Slapd, folder: Path) -> Iterator[Program]:
    (folder / "postroom.toml").write_text(laboratory(slapd))
    (folder / "secret").write_text(SECRET + "\n")
    with running(Program(["serve", "--config", str(folder / "postroom.toml")], folder)) as program:
        yield program


@pytest.fixture(scope="module")
def office(program: Program, folder: Path) -> Ready:
    """The organization, with everybody registered but dora."""
    id, secret = re.findall(r"^AWS_\w+=(.+)$", postroom(folder, "keys", "create", "admin", "--full").stdout, re.MULTILINE)[:2]
    ready = replace(program.ready, access_key_id=id, secret_access_key=secret, domain="office.lab.test")
    made = ready.workmail().create_organization(Alias="office", DirectoryId=DIRECTORY)["OrganizationId"]
    ready = replace(ready, organization_id=made)
    eventually(lambda: set(PASSWORDS) <= set(users(ready)) and {"staff", "inner"} <= set(groups(ready)))
    for name in ("alice", "bob", "carol", "staff", "inner"):
        ready.workmail().register_to_work_mail(OrganizationId=made, EntityId=name, Email=f"{name}@office.lab.test")
    return ready


def postroom(folder: Path, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, verb, "--config", str(folder / "postroom.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def eventually(question: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end
        time.sleep(0.1)


def users(ready: Ready) -> dict[str, dict[str, Any]]:
    return {user["Name"]: user for user in ready.workmail().list_users(OrganizationId=ready.organization_id)["Users"]}


def groups(ready: Ready) -> dict[str, dict[str, Any]]:
    return {one["Name"]: one for one in ready.workmail().list_groups(OrganizationId=ready.organization_id)["Groups"]}


def somebody(name: str, password: str = "") -> User:
    return User(name, f"{name}@office.lab.test", password or PASSWORDS[name])


def sign_in(ready: Ready, user: User) -> bytes:
    """Sign in over IMAP and give what the server says; raises LoginError."""
    with IMAPClient(*ready.imaps, ssl_context=ready.tls(), timeout=30) as client:
        return bytes(client.login(user.email, user.password))


@contextmanager
def submitting(ready: Ready, user: User) -> Iterator[smtplib.SMTP_SSL]:
    with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30) as smtp:
        smtp.login(user.email, user.password)
        yield smtp


def again(program: Program, ready: Ready) -> Ready:
    """Stop the program and start it, so that it remembers only what it has written down."""
    program.stop()
    program.launch()
    found = program.await_ready()
    return replace(ready, api=found.api, imaps=found.imaps, imap=found.imap, submissions=found.submissions, smtp=found.smtp)


@pytest.mark.effect("CreateOrganization", "DescribeOrganization", "RegisterToWorkMail", "ListUsers", "DescribeUser", "ListGroups")
def test_its_users_sign_in_by_their_own_passwords_and_its_groups_deliver(slapd: Slapd, office: Ready) -> None:
    shown = office.workmail().describe_organization(OrganizationId=office.organization_id)
    assert (shown["DirectoryId"], shown["DirectoryType"], shown["InteroperabilityEnabled"]) == (DIRECTORY, "LDAP", False)
    alice = office.workmail().describe_user(OrganizationId=office.organization_id, UserId="alice")
    assert (alice["DisplayName"], alice["FirstName"], alice["City"], alice["State"]) == ("Alice Example", "Alice", "Anytown", "ENABLED")
    assert users(office)["dora"]["State"] == "DISABLED", "until it is registered"
    with submitting(office, somebody("alice")) as smtp:
        assert smtp.sendmail("alice@office.lab.test", ["staff@office.lab.test"], LETTER.format(subject="to all")) == {}
    for name in ("alice", "bob"):
        with Reader(office, somebody(name)) as reader:
            reader.await_letter(b"to all")
    with Reader(office, somebody("carol")) as reader:
        assert reader.letters() == {}


def test_a_wrong_password_and_none_at_all_are_refused(office: Ready) -> None:
    for password in ("wrong", "*", "", " "):
        with pytest.raises(LoginError, match="AUTHENTICATIONFAILED"), IMAPClient(*office.imaps, ssl_context=office.tls()) as client:
            client.login("alice@office.lab.test", password)
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused, submitting(office, somebody("alice", "wrong")):
        pass
    assert refused.value.smtp_code == 535
    for name in ("nobody", "alice)(uid=*", "*"):
        with pytest.raises(LoginError), IMAPClient(*office.imaps, ssl_context=office.tls()) as client:
            client.login(f"{name}@office.lab.test", "x")


@pytest.mark.effect("CreateUser", "DeleteUser", "UpdateUser", "ResetPassword", "CreateGroup", "DeleteGroup", "AssociateMemberToGroup")
def test_what_is_the_directorys_is_not_changed_here(office: Ready) -> None:
    workmail, organization = office.workmail(), {"OrganizationId": office.organization_id}
    alice, staff = users(office)["alice"]["Id"], groups(office)["staff"]["Id"]
    refused = [
        ("create_user", {"Name": "eve", "DisplayName": "Eve", "Password": "Open-Sesame-1"}),
        ("delete_user", {"UserId": users(office)["dora"]["Id"]}),
        ("update_user", {"UserId": alice, "DisplayName": "Other"}),
        ("update_user", {"UserId": alice, "City": "Other"}),
        ("reset_password", {"UserId": alice, "Password": "Open-Sesame-1"}),
        ("create_group", {"Name": "more"}),
        ("delete_group", {"GroupId": staff}),
        ("associate_member_to_group", {"GroupId": staff, "MemberId": users(office)["carol"]["Id"]}),
        ("disassociate_member_from_group", {"GroupId": staff, "MemberId": alice}),
    ]
    for operation, params in refused:
        with pytest.raises(ClientError) as error:
            getattr(workmail, operation)(**organization, **params)
        assert error.value.response["Error"]["Code"] == "UnsupportedOperationException", operation
    workmail.update_user(**organization, UserId=alice, HiddenFromGlobalAddressList=True)
    workmail.create_alias(**organization, EntityId=alice, Alias="a@office.lab.test")
    workmail.create_resource(**organization, Name="room", Type="ROOM")
    assert sign_in(office, User("", "a@office.lab.test", PASSWORDS["alice"]))


def test_a_directory_is_one_organizations_and_has_to_answer(office: Ready) -> None:
    workmail = office.workmail()
    cases = [
        ({"DirectoryId": DIRECTORY}, "DirectoryInUseException"),
        ({"DirectoryId": ABSENT}, "DirectoryUnavailableException"),
        ({"DirectoryId": "d-0123456789"}, "DirectoryUnavailableException"),
        ({"DirectoryId": DIRECTORY, "EnableInteroperability": True}, "InvalidParameterException"),
    ]
    for params, code in cases:
        with pytest.raises(ClientError) as error:
            workmail.create_organization(Alias="second", **params)
        assert error.value.response["Error"]["Code"] == code


@pytest.mark.effect("UpdatePrimaryEmailAddress")
def test_beside_exchange_primary_addresses_are_left_to_it(office: Ready) -> None:
    workmail = office.workmail()
    made = workmail.create_organization(Alias="beside", DirectoryId=CONNECTOR, EnableInteroperability=True)["OrganizationId"]
    shown = workmail.describe_organization(OrganizationId=made)
    assert (shown["DirectoryType"], shown["InteroperabilityEnabled"]) == ("ADConnector", True)
    room = workmail.create_resource(OrganizationId=made, Name="room", Type="ROOM")["ResourceId"]
    workmail.register_to_work_mail(OrganizationId=made, EntityId=room, Email="room@beside.lab.test")
    with pytest.raises(ClientError, match="UnsupportedOperationException"):
        workmail.update_primary_email_address(OrganizationId=made, EntityId=room, Email="other@beside.lab.test")
    workmail.delete_organization(OrganizationId=made, DeleteDirectory=True)
    again_made = workmail.create_organization(Alias="beside", DirectoryId=CONNECTOR)["OrganizationId"]
    assert not workmail.describe_organization(OrganizationId=again_made)["InteroperabilityEnabled"]


def test_check_says_which_directory_does_not_answer(office: Ready, folder: Path) -> None:
    said = postroom(folder, "check", "--no-dns").stdout
    assert "directory: office answers" in said
    assert re.search(
        r"^bad +directory: The directory at 127\.0\.0\.1:1 does not answer: .*\n +-> Look at \[directories\.absent\]", said, re.MULTILINE
    )


def test_who_goes_there_goes_here(slapd: Slapd, office: Ready, folder: Path) -> None:
    with IMAPClient(*office.imaps, ssl_context=office.tls(), timeout=30) as client:
        client.login("carol@office.lab.test", PASSWORDS["carol"])
        client.select_folder("INBOX")
        slapd.delete(dn_of("carol"))
        slapd.modify(f"dn: {dn_of('bob')}\nchangetype: modrdn\nnewrdn: uid=robert\ndeleteoldrdn: 1\n")
        done = postroom(folder, "directory", "sync", "office")
        assert done.returncode == 0, done.stderr
        eventually(lambda: not _goes_on(client))
    assert (users(office)["carol"]["State"], users(office)["robert"]["Email"]) == ("DISABLED", "bob@office.lab.test")
    assert sign_in(office, somebody("bob")), "under the new name in the directory"
    with pytest.raises(LoginError):
        sign_in(office, somebody("carol"))
    with smtplib.SMTP(*office.smtp) as smtp:
        smtp.helo("client.test")
        smtp.mail("stranger@example.org")
        assert smtp.rcpt("carol@office.lab.test")[0] == 550
    with pytest.raises(ClientError, match="EntityStateException"):
        office.workmail().register_to_work_mail(
            OrganizationId=office.organization_id, EntityId=users(office)["carol"]["Id"], Email="carol@office.lab.test"
        )


def test_a_directory_that_has_lost_almost_everybody_is_not_believed(slapd: Slapd, office: Ready, folder: Path) -> None:
    config = folder / "postroom.toml"
    before, right = set(users(office)), config.read_text()
    config.write_text(right.replace("page = 20", 'page = 20\nusers_filter = "(uid=alice)"\ngroups_filter = "(cn=none)"'))
    try:
        done = postroom(folder, "directory", "sync", "office")
    finally:
        config.write_text(right)
    assert done.returncode == 1
    assert "taken for a mistake" in done.stderr
    assert "taken for a mistake" in postroom(folder, "directory", "list").stdout
    assert set(users(office)) == before
    assert users(office)["alice"]["State"] == "ENABLED"
    assert re.search(
        r"^office: 3 users, 0 of them disabled; 2 groups$", postroom(folder, "directory", "check", "office").stdout, re.MULTILINE
    )


def test_an_outage_shuts_nobody_out_who_has_signed_in_lately(slapd: Slapd, office: Ready, program: Program) -> None:
    assert sign_in(office, somebody("alice"))
    slapd.kill()
    office = again(program, office)
    assert sign_in(office, somebody("alice"))
    with submitting(office, somebody("alice")) as smtp:
        assert smtp.noop()[0] == 250
    assert users(office)["alice"]["State"] == "ENABLED"
    for user in (somebody("alice", "wrong"), somebody("alice", "Alice-Password-2"), somebody("dora")):
        with pytest.raises(LoginError, match="UNAVAILABLE"):
            sign_in(office, user)
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused, submitting(office, somebody("alice", "wrong")):
        pass
    assert refused.value.smtp_code == 454

    slapd.start()
    slapd.modify(f"dn: {dn_of('alice')}\nchangetype: modify\nreplace: userPassword\nuserPassword: Alice-Password-2\n")
    office = again(program, office)
    with pytest.raises(LoginError, match="AUTHENTICATIONFAILED"):
        sign_in(office, somebody("alice"))
    slapd.kill()
    office = again(program, office)
    with pytest.raises(LoginError, match="UNAVAILABLE"):
        sign_in(office, somebody("alice"))
    slapd.start()
    eventually(lambda: _opens(office, somebody("alice", "Alice-Password-2")))


def _goes_on(client: IMAPClient) -> bool:
    try:
        return bool(client.noop())
    except client.AbortError:
        return False


def _opens(office: Ready, user: User) -> bool:
    try:
        return bool(sign_in(office, user))
    except LoginError:
        return False
