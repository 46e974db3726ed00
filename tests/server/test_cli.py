"""`keys`, `users` and `check`, on the folder of a demo that runs meanwhile."""

import imaplib
import re
import smtplib
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError

from postroom.server import findings
from postroom.server.settings import Settings
from tests.interop.nameserver import Nameserver
from tests.program import COMMAND, Program, demo, hire, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def program(folder):
    with running(demo(folder)) as program:
        yield program


def postroom(folder: Path, verb: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, verb, "--config", str(folder / "data" / "postroom.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def client(program: Program, printed: str):
    key, secret = re.search(r"AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)\n", printed).groups()
    ready = program.ready
    workmail = boto3.client(
        "workmail", endpoint_url=ready.api, region_name=ready.region, aws_access_key_id=key, aws_secret_access_key=secret
    )
    return key, workmail


def eventually(check, seconds=10.0):
    """Repeat until a running server has noticed."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check()
        except (AssertionError, ClientError, pytest.fail.Exception):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_a_read_only_key_reads(program, folder):
    made = postroom(folder, "keys", "create", "auditor", "--read-only")
    assert made.returncode == 0, made.stderr
    _, workmail = client(program, made.stdout)
    organization = program.ready.organization_id
    assert workmail.list_users(OrganizationId=organization)["Users"]
    with pytest.raises(ClientError) as denied:
        workmail.create_user(OrganizationId=organization, Name="x", DisplayName="x")
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "user/auditor is not authorized to perform: workmail:CreateUser" in denied.value.response["Error"]["Message"]


def test_a_key_with_a_policy_of_its_own(program, folder, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"workmail:ListGroups","Resource":"*"}}')
    made = postroom(folder, "keys", "create", "groups", "--policy", str(policy))
    _, workmail = client(program, made.stdout)
    assert workmail.list_groups(OrganizationId=program.ready.organization_id)["Groups"] == []
    with pytest.raises(ClientError, match="AccessDeniedException"):
        workmail.list_users(OrganizationId=program.ready.organization_id)


def test_a_malformed_policy_makes_no_key(program, folder, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text('{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}')
    refused = postroom(folder, "keys", "create", "perhaps", "--policy", str(policy))
    assert refused.returncode == 1
    assert refused.stderr.startswith("postroom: ")
    assert "perhaps" not in postroom(folder, "keys", "list").stdout


def test_keys_are_listed_disabled_enabled_and_deleted(program, folder):
    key, workmail = client(program, postroom(folder, "keys", "create", "passing", "--full").stdout)
    assert workmail.list_organizations()["OrganizationSummaries"]
    listed = postroom(folder, "keys", "list").stdout
    assert re.search(rf"^{key} +Active .* passing$", listed, re.MULTILINE)
    assert "SECRET" not in listed

    def refused():
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            workmail.list_organizations()

    assert postroom(folder, "keys", "disable", key).returncode == 0
    eventually(lambda: refused())
    assert postroom(folder, "keys", "enable", key).returncode == 0
    eventually(lambda: workmail.list_organizations())
    assert postroom(folder, "keys", "delete", key).returncode == 0
    eventually(lambda: refused())
    again = postroom(folder, "keys", "delete", key)
    assert (again.returncode, again.stderr) == (1, f"postroom: There is no access key {key}.\n")


def test_users_are_listed(program, folder):
    listed = postroom(folder, "users", "list").stdout
    for user in program.ready.users:
        assert re.search(rf"^{user.id} +ENABLED .* {user.email}$", listed, re.MULTILINE)


def test_a_forgotten_password_is_replaced(program, folder):
    user = hire(program.ready, "forgetful")
    old = imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls(), timeout=30)
    old.login(user.email, user.password)
    done = postroom(folder, "users", "reset-password", user.email, "--password-stdin", input="Brand-New-Word-3\n")
    assert done.returncode == 0, done.stderr
    assert old.readline() == b"* BYE Sign in again.\r\n"
    old.shutdown()
    with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls()) as imap:
        with pytest.raises(imaplib.IMAP4.error):
            imap.login(user.email, user.password)
        imap.login(user.email, "Brand-New-Word-3")


def test_a_password_nobody_chose_is_made(program, folder):
    user = hire(program.ready, "absent")
    done = postroom(folder, "users", "reset-password", "absent", stdin=subprocess.DEVNULL)
    password = re.fullmatch(r"The password of absent is changed\. It is: (\S+)\n", done.stdout).group(1)
    with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls()) as imap:
        imap.login(user.email, password)


@pytest.mark.parametrize(("who", "word"), [("nobody", "Good-Enough-1"), ("alice", "short")])
def test_what_cannot_be_reset(program, folder, who, word):
    done = postroom(folder, "users", "reset-password", who, "--password-stdin", input=word + "\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("postroom: ")


def test_an_unknown_organization(program, folder):
    done = postroom(folder, "users", "--organization", "other", "list")
    assert (done.returncode, done.stderr) == (1, "postroom: Say which organization with --organization; there are: demo.\n")


def test_check_says_what_is_wrong_and_what_to_do(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "postroom.toml"
        config.write_text(
            f'data = "data"\n[smtp]\npostmaster = "p@lab.test"\nlisten = ["127.0.0.1:{port}"]\n[submission]\nlisten = []\nlisten_tls = []\n'
            '[imap]\nlisten = []\nlisten_tls = ["127.0.0.1:0"]\n[managesieve]\nlisten = []\n[api]\nlisten = ["127.0.0.1:0"]\n'
        )
        (tmp_path / "data").mkdir()
        keyring = tmp_path / "data" / "keyring.json"
        keyring.write_text("{}")
        keyring.chmod(0o644)
        done = subprocess.run(
            [*COMMAND, "check", "--config", str(config), "--no-dns"], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1, done.stderr
    assert f"bad      keyring: others may read {keyring}\n         -> chmod 600 {keyring}\n" in done.stdout
    assert f"bad      [smtp]: cannot listen on 127.0.0.1 port {port}: Address already in use\n         -> " in done.stdout
    assert "ok       [imap]: 127.0.0.1:0 is free\n" in done.stdout
    assert "ok       postmaster: mail for postmaster and abuse goes to p@lab.test\n" in done.stdout
    assert re.search(r"^(ok|warning) +disk: an fsync takes \d+\.\d ms$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("Something must be done first.\n")


class Pong(socketserver.BaseRequestHandler):
    """What clamd says to PING."""

    def handle(self) -> None:
        self.request.recv(100)
        self.request.sendall(b"PONG\0")


def test_check_speaks_to_each_filter():
    with socketserver.TCPServer(("127.0.0.1", 0), Pong) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        where = f"127.0.0.1:{server.server_address[1]}"
        told = {name: {"address": where} for name in ("rspamd", "clamav")}
        found = list(findings.of_filters(msgspec.convert({"filters": told}, Settings)))
        server.shutdown()
    assert [str(finding.level) for finding in found] == ["warning", "ok"]
    assert str(found[0]).startswith("warning  rspamd: rspamd's answer is no HTTP\n")
    assert str(found[1]) == f"ok       clamav: {where} answers"


def test_check_looks_at_this_servers_name(tmp_path):
    zone = {
        ("mail.lab.test", "A"): ["192.0.2.25", "192.0.2.26"],
        ("25.2.0.192.in-addr.arpa", "PTR"): ["mail.lab.test."],
    }
    with Nameserver(zone) as nameserver:
        config = tmp_path / "postroom.toml"
        config.write_text(
            f'data = "data"\n[mail]\nhostname = "mail.lab.test"\n[dns]\nnameservers = ["127.0.0.1:{nameserver.port}"]\n'
            "[smtp]\nlisten = []\n[submission]\nlisten = []\nlisten_tls = []\n[imap]\nlisten = []\nlisten_tls = []\n[managesieve]\nlisten = []\n[api]\nlisten = []\n"
        )
        done = subprocess.run([*COMMAND, "check", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False)
    assert "ok       hostname: mail.lab.test is 192.0.2.25 and back\n" in done.stdout
    assert "warning  hostname: the PTR of 192.0.2.26 says nothing\n" in done.stdout
    assert "warning  postmaster: mail for postmaster is refused in domains where nobody has that address\n" in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_role_is_made_assumed_and_deleted(program, folder, tmp_path):
    assert postroom(folder, "keys", "create", "operator", "--read-only").returncode == 0
    another = postroom(folder, "keys", "create", "operator")
    made = postroom(folder, "roles", "create", "helpdesk", "--read-only", "--hours", "2")
    assert (made.returncode, made.stdout) == (0, "arn:aws:iam::000000000000:role/helpdesk\n")
    assert made.stdout in postroom(folder, "roles", "list").stdout
    key, secret = re.search(r"AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)\n", another.stdout).groups()
    where = {"endpoint_url": program.ready.api, "region_name": program.ready.region}
    sts = boto3.client("sts", aws_access_key_id=key, aws_secret_access_key=secret, **where)
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=made.stdout.strip(), RoleSessionName="work")
    trust = tmp_path / "trust.json"
    trust.write_text(
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",'
        '"Principal":{"AWS":"arn:aws:iam::000000000000:user/operator"}}}'
    )
    assert postroom(folder, "roles", "delete", "helpdesk").returncode == 0
    assert postroom(folder, "roles", "create", "helpdesk", "--trust", str(trust), "--full").returncode == 0
    given = sts.assume_role(RoleArn=made.stdout.strip(), RoleSessionName="work")["Credentials"]
    session = boto3.client(
        "workmail",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        **where,
    )
    group = session.create_group(OrganizationId=program.ready.organization_id, Name="by-session")["GroupId"]
    assert postroom(folder, "roles", "policy", "helpdesk", "--read-only").returncode == 0
    assert "workmail:List*" in postroom(folder, "roles", "policy", "helpdesk").stdout

    def refused():
        with pytest.raises(ClientError, match="AccessDeniedException"):
            session.delete_group(OrganizationId=program.ready.organization_id, GroupId=group)

    eventually(refused)
    assert postroom(folder, "roles", "delete", "nothing").stderr == "postroom: The role with name nothing cannot be found.\n"


def test_flow_rules_are_put_and_tried(program, folder):
    made = postroom(folder, "flow", "put", "in", "no far", "bounce", "--from", "far.test", "*.Far.test", "--to", "*", "--message", "No")
    assert (made.returncode, made.stderr) == (0, "")
    assert postroom(folder, "flow", "list").stdout.split() == ["in", "no", "far", "bounce"]
    shown = postroom(folder, "flow", "show", "in", "no far").stdout.splitlines()
    assert shown[1:] == ["from far.test", "from *.far.test", "to *", "message No"]
    assert "no far" in postroom(folder, "flow", "test", "in", "a@sub.far.test", "bob@example.test").stdout
    assert postroom(folder, "flow", "test", "out", "a@far.test", "bob@example.test").stdout == "no rule\n"
    user = program.ready.users[0]
    with smtplib.SMTP(*program.ready.smtp) as smtp, pytest.raises(smtplib.SMTPDataError, match=r"5\.7\.1 No"):
        smtp.sendmail("a@far.test", [user.email], "From: a@far.test\r\nSubject: x\r\n\r\nx\r\n")
    wrong = postroom(folder, "flow", "put", "out", "x", "junk")
    assert (wrong.returncode, wrong.stderr) == (1, "postroom: JUNK is no action for letters that go out.\n")
    assert postroom(folder, "flow", "delete", "in", "no far").returncode == 0
    assert postroom(folder, "flow", "show", "in", "no far").returncode == 1


def test_journaling_is_set_and_ended(program, folder):
    assert postroom(folder, "journal", "show").stdout == "off\n"
    assert postroom(folder, "journal", "set", "all@archive.test", "postmaster@archive.test").returncode == 0
    shown = postroom(folder, "journal", "show").stdout
    assert shown.startswith("to all@archive.test, failures to postmaster@archive.test, from amazonjournaling@demo.")
    assert postroom(folder, "journal", "off").returncode == 0
    assert postroom(folder, "journal", "show").stdout == "off\n"


def test_hooks_and_gateways_of_rules_have_to_be_there(program, folder):
    for words in (["run-lambda", "--hook", "scan"], ["run-lambda"], ["run-lambda", "--hook", "scan", "--wait", "--minutes", "500"]):
        refused = postroom(folder, "flow", "put", "in", "x", *words)
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert "There is no [gateways.edge]" in postroom(folder, "flow", "put", "out", "x", "gateway", "--gateway", "edge").stderr
    assert postroom(folder, "flow", "waiting").stdout == ""
    assert postroom(folder, "flow", "gateways").stdout == ""
