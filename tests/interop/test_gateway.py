"""Postfix as the gateway of an outbound rule: it takes letters only under TLS from who has signed in, for which it asks Dovecot."""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.interop.postfix import Postfix
from tests.interop.tools import need
from tests.program import Program, running
from tests.server.served import configured, eventually, postroom, workmail

PASSWORD = "Sesame-7-of-the-gateway"
DOVECOT = """
protocols =
base_dir = {folder}/run
log_path = {folder}/log
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
ssl = no
auth_mechanisms = plain login
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nowhere
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""
SETTINGS = """
[domains]
verify = false
[gateways.edge]
address = "{address}:25"
user = "postroom"
password_file = "password"
ca = "ca.pem"
[gateways.wrong]
address = "{address}:25"
user = "postroom"
password = "no such password"
ca = "ca.pem"
[organizations.lab.outbound.edge]
action = "gateway"
gateway = "edge"
destinations = ["stranger.test"]
[organizations.lab.outbound.wrong]
action = "gateway"
gateway = "wrong"
destinations = ["other.test"]
"""


@pytest.fixture(scope="module")
def asked() -> Iterator[Path]:
    """Run the Dovecot that knows the password; yield its socket."""
    need("postfix", "postfix")
    command = need("dovecot", "dovecot-core")
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))  # not tmp_path: other users must be able to walk into it
    folder.chmod(0o755)
    (folder / "users").write_text(f"postroom:{PASSWORD}\n")
    (folder / "dovecot.conf").write_text(DOVECOT.format(folder=folder))
    process = subprocess.Popen([command, "-F", "-c", str(folder / "dovecot.conf")], stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: greets(folder / "auth"))
        yield folder / "auth"
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def greets(path: Path) -> bool:
    """Tell whether somebody answers at a socket."""
    with socket.socket(socket.AF_UNIX) as asking, suppress(OSError):
        asking.settimeout(5)
        asking.connect(str(path))
        return asking.recv(7) == b"VERSION"
    return False


@pytest.fixture(scope="module")
def edge(asked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postfix, trustme.CA]]:
    """Run Postfix, which has a certificate for its address."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    files = folder / "chain.pem", folder / "key.pem"
    for file in files:
        file.touch()
    settings = {
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_auth_only": "yes",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": str(asked),
        "smtpd_sasl_authenticated_header": "yes",
        "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
    }
    try:
        postfix = Postfix("stranger.test", ["bob"], certificate=files, settings=settings)
    except PermissionError as error:
        pytest.skip(str(error))
    issued = authority.issue_cert(postfix.address)
    (postfix.folder / "certificate.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(postfix.folder / "key.pem"))
    with postfix:
        yield postfix, authority


@pytest.fixture(scope="module")
def program(edge: tuple[Postfix, trustme.CA], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("gateway")
    edge[1].cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "password").write_text(f"{PASSWORD}\n")
    config = configured(folder, SETTINGS.format(address=edge[0].address))
    with running(Program(["serve", "--config", str(config)], folder)) as program:
        client = workmail(program)
        organization = client.create_organization(Alias="lab")["OrganizationId"]
        made = client.create_user(OrganizationId=organization, Name="ann", DisplayName="ann", Password="Correct-Horse-7x")["UserId"]
        client.register_to_work_mail(OrganizationId=organization, EntityId=made, Email="ann@lab.postroom.test")
        program.stop()
        program.launch()
        program.await_ready()
        yield program


def submit(program: Program, recipient: str, subject: str) -> None:
    with smtplib.SMTP_SSL(*program.ready.submissions, context=program.ready.tls(), timeout=20) as smtp:
        smtp.login("ann@lab.postroom.test", "Correct-Horse-7x")
        text = f"From: ann@lab.postroom.test\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nBy the gateway.\r\n"
        smtp.sendmail("ann@lab.postroom.test", [recipient], text.encode())


def gateways(program: Program) -> dict[str, str]:
    shown = postroom(program.folder / "postroom.toml", "flow", "gateways").stdout
    return {line.split()[0]: line for line in shown.splitlines()}


def test_letters_go_by_way_of_postfix_which_lets_nobody_in_without_a_password(program: Program, edge: tuple[Postfix, Any]) -> None:
    submit(program, "bob@stranger.test", "by the edge")
    raw = edge[0].await_letter("bob", b"by the edge")
    assert b"(Authenticated sender: postroom)" in raw
    assert b"with ESMTPSA" in raw
    assert " ok, 0 waiting" in gateways(program)["edge"]


def test_a_gateway_that_refuses_the_password_keeps_nothing_and_says_so(program: Program) -> None:
    submit(program, "x@other.test", "first")
    shown = eventually(lambda: "535" in gateways(program)["wrong"] and gateways(program)["wrong"])
    assert "1 waiting" in shown
    lines = postroom(program.folder / "postroom.toml", "flow", "gateways", "--try").stdout.splitlines()
    assert next(line.strip() for line in lines if line.startswith(" ")) == "lets this server in"
    assert "535" in lines[-1]
    assert "no such password" not in program.log.read_text() + shown
    checked = postroom(program.folder / "postroom.toml", "check", "--no-dns").stdout
    assert "gateway: edge lets this server in" in checked
    assert "gateway: wrong: 535" in checked
