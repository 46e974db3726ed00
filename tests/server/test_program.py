import imaplib
import json
import os
import re
import signal
import smtplib
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import aiosmtpd.controller
import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from postroom.server import certificates
from postroom.storage import keys, sqlite
from tests.ports import free_port
from tests.program import COMMAND, Program, demo, hire, running

ROOT = Path(__file__).resolve().parents[2]
IDLE_BYTES = 90 * 1024 * 1024


def test_the_ready_file_says_everything_once_everything_accepts(tmp_path):
    with running(demo(tmp_path)) as program:
        path = tmp_path / "ready.json"
        said = json.loads(path.read_bytes())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert set(said) == {
            "api", "region", "access_key_id", "secret_access_key", "ca_file", "smtp", "submission", "submissions", "imap", "imaps",
            "managesieve", "web", "web_tls", "organization_id", "domain", "users",
        }  # fmt: skip
        ports = [said[name][1] for name in ("smtp", "submission", "submissions", "imap", "imaps")]
        assert len(set(ports)) == 5
        for port in ports:
            socket.create_connection(("127.0.0.1", port), 5).close()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", said["api"])
        assert urllib.request.urlopen(said["api"] + "/healthz").status == 200
        assert [user["email"] for user in said["users"]] == ["alice@demo.postroom.test", "bob@demo.postroom.test"]
        assert all(set(user) == {"id", "email", "password"} for user in said["users"])
        shown = program.log.read_text()
        for secret in (said["secret_access_key"], *(user["password"] for user in said["users"])):
            assert secret in shown


def test_an_idle_program_is_small(tmp_path):
    with running(demo(tmp_path)) as program:
        assert program.resident() < IDLE_BYTES


def test_a_second_run_goes_on_with_what_the_first_made(tmp_path):
    with running(demo(tmp_path)) as program:
        first = program.ready
        somebody = hire(first, "somebody")
    with running(demo(tmp_path)) as program:
        second = program.ready
        assert (second.organization_id, second.users, second.access_key_id) == (first.organization_id, first.users, first.access_key_id)
        with imaplib.IMAP4_SSL(*second.imaps, ssl_context=second.tls()) as imap:
            imap.login(somebody.email, somebody.password)


def test_two_demos_share_a_machine(tmp_path):
    with running(usual(tmp_path / "one")) as one, running(usual(tmp_path / "two")) as two:
        assert one.ready.api != two.ready.api
        assert two.ready.smtp != one.ready.smtp


def test_the_demo_leaves_a_servers_data_alone(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data"))
    with running(serve(config, tmp_path)):
        pass
    done = subprocess.run([*COMMAND, "demo", "--data", str(tmp_path / "data")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "holds the data of a server, not of a demo" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_while_clients_stay_connected(tmp_path, number):
    program = demo(tmp_path)
    ready = program.ready
    idle = imaplib.IMAP4_SSL(*ready.imaps, ssl_context=ready.tls())
    idle.login(ready.users[0].email, ready.users[0].password)
    idle.select()
    idle.send(b"x IDLE\r\n")
    stalled = smtplib.SMTP(*ready.smtp)
    stalled.ehlo()
    half = socket.create_connection(ready.imaps)
    started = time.monotonic()
    program.process.send_signal(number)
    assert program.process.wait(10) == 0
    assert time.monotonic() - started < 5
    assert not (tmp_path / "ready.json").exists()
    half.close()


def test_a_signal_ends_it_in_time_though_a_write_hangs(tmp_path):
    """Another process holds the organization's file, so that a storage thread does not come back for a while."""
    program = demo(tmp_path)
    data = tmp_path / "data"
    store = sqlite.open_store(data, keys.LocalKeyring(data / "keyring.json"))
    workmail = program.ready.workmail()
    with store.transaction(store.scopes()[0]) as tx:
        request = threading.Thread(target=_hire_in_vain, args=(workmail, program.ready.organization_id))
        request.start()
        time.sleep(0.5)
        started = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        try:
            assert program.process.wait(20) == 0
            assert time.monotonic() - started < 5
        finally:
            program.kill()
            request.join()
        assert tx.organization
    store.close()


def _hire_in_vain(workmail, organization):
    with suppress(BotoCoreError, ClientError):
        workmail.create_user(OrganizationId=organization, Name="late", DisplayName="Late", Password="Correct-Horse-7x")


def test_a_program_that_no_longer_carries_mail_ends_with_1(tmp_path):
    """So that a supervisor starts it again; 0 would mean that somebody wanted it to end."""
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data"))
    script = """
import sys
from postroom.mailflow.outbound.carrier import Carrier
from postroom.server.cli import main

async def run(self):
    raise RuntimeError("no more")

Carrier.run = run
sys.exit(main(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "serve", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "carrier_failed" in done.stderr


def test_a_killed_program_comes_back_with_its_mail(tmp_path):
    program = demo(tmp_path)
    user = program.ready.users[0]
    with smtplib.SMTP(*program.ready.smtp) as smtp:
        smtp.sendmail("stranger@example.org", [user.email], "From: stranger@example.org\r\nSubject: kept\r\n\r\nHello\r\n")
    program.kill()
    with running(demo(tmp_path)) as again, imaplib.IMAP4_SSL(*again.ready.imaps, ssl_context=again.ready.tls()) as imap:
        imap.login(user.email, user.password)
        assert imap.select() == ("OK", [b"1"])


def test_the_first_letter(tmp_path):
    """The README's example, with a server for the stranger; his answer arrives there."""
    got, arrived = [], threading.Event()

    class Stranger:
        async def handle_DATA(self, server, session, envelope):
            got.append(envelope)
            arrived.set()
            return "250 OK"

    stranger = aiosmtpd.controller.Controller(Stranger(), hostname="127.0.0.1", port=free_port())
    stranger.start()
    try:
        with running(demo(tmp_path, smarthost=f"127.0.0.1:{stranger.port}")):
            done = subprocess.run(
                [sys.executable, "examples/first_letter.py", str(tmp_path / "ready.json")],
                cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert re.fullmatch(
                r"(carol-\d+@demo\.postroom\.test) has a letter from Stranger <stranger@example\.org>: Is anybody there\?\n\1 has answered\.\n",
                done.stdout,
            )
            assert arrived.wait(20)
    finally:
        stranger.stop()
    (answer,) = got
    assert answer.rcpt_tos == ["stranger@example.org"]
    assert answer.mail_from.startswith("carol-")
    assert b"\r\nYes. Here is Postroom.\r\n" in answer.content


def test_serve_prints_the_administrators_key_once_and_it_works(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data"))
    with running(serve(config, tmp_path)) as program:
        shown = program.log.read_text()
        key, secret = re.search(r"AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)\n", shown).groups()
        said = json.loads((tmp_path / "ready.json").read_bytes())
        assert "secret_access_key" not in said
        workmail = boto3.client(
            "workmail", endpoint_url=said["api"], region_name=said["region"], aws_access_key_id=key, aws_secret_access_key=secret
        )
        organization = workmail.create_organization(Alias="labs")["OrganizationId"]
        assert workmail.describe_organization(OrganizationId=organization)["DefaultMailDomain"] == "labs.lab.test"
    with running(serve(config, tmp_path)) as program:
        assert program.log.read_text().count("AWS_SECRET_ACCESS_KEY") == 1


def test_nothing_is_for_others_to_read_whichever_verb_makes_it(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data"))
    (tmp_path / "data").mkdir(mode=0o755)  # as systemd makes a StateDirectory
    command = [*COMMAND, "keys", "--config", str(config), "create", "first", "--full"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with running(serve(config, tmp_path)):
        found = {path for path in (tmp_path / "data").rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077}
        assert not found


def test_serve_without_a_key_denies(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data"))
    with running(serve(config, tmp_path)) as program:
        workmail = boto3.client(
            "workmail", endpoint_url=program.ready.api, region_name="us-east-1", aws_access_key_id="AKIAX", aws_secret_access_key="x"
        )
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            workmail.list_organizations()


def test_https_for_the_api(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data").replace('[api]\nlisten = ["127.0.0.1:0"]', '[api]\nlisten = []\nlisten_tls = ["127.0.0.1:0"]'))
    with running(serve(config, tmp_path)) as program:
        assert program.ready.api.startswith("https://127.0.0.1:")
        assert urllib.request.urlopen(program.ready.api + "/healthz", context=program.ready.tls()).status == 200


def test_a_hangup_brings_a_new_certificate_and_a_bad_one_changes_nothing(tmp_path):
    first = certificates.local(tmp_path / "first", ["127.0.0.1"])
    second = certificates.local(tmp_path / "second", ["127.0.0.1"])
    for name in ("certificate", "key"):
        (tmp_path / name).write_bytes(getattr(first, name).read_bytes())
    config = tmp_path / "postroom.toml"
    config.write_text(
        laboratory("data").replace('"warning"', '"info"') + f'[tls]\ncertificate = "{tmp_path}/certificate"\nkey = "{tmp_path}/key"\n'
    )
    with running(serve(config, tmp_path)) as program:
        assert presents(program, first)
        (tmp_path / "certificate").write_bytes(second.certificate.read_bytes())  # and not yet its key
        reload(program, "certificate_not_reloaded")
        assert presents(program, first)
        for name in ("certificate", "key"):
            (tmp_path / name).write_bytes(getattr(second, name).read_bytes())
        reload(program, "certificate_reloaded")
        assert presents(program, second)


def test_a_taken_port_ends_it_with_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "postroom.toml"
        config.write_text(laboratory("data").replace('[smtp]\nlisten = ["127.0.0.1:0"]', f'[smtp]\nlisten = ["127.0.0.1:{port}"]'))
        done = subprocess.run([*COMMAND, "serve", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"postroom: cannot listen on 127.0.0.1 port {port}: Address already in use"


def test_a_bad_configuration_ends_it_with_one_line(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text("[smtp]\nlissen = []")
    done = subprocess.run([*COMMAND, "serve", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f'postroom: {config}: unknown setting "lissen" in [smtp]; did you mean "listen"?\n')


def test_a_bad_certificate_ends_it_with_one_line(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data") + '[tls]\ncertificate = "none.pem"\nkey = "none.key"\n')
    done = subprocess.run([*COMMAND, "serve", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"postroom: \[tls\] .*none\.pem and .*none\.key: .*\n", done.stderr)


def test_the_version():
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=False)
    assert re.fullmatch(r"postroom \d+\.\d+\.\d+\n", done.stdout)


def test_logs_are_json_and_hold_no_secrets(tmp_path):
    config = tmp_path / "postroom.toml"
    config.write_text(laboratory("data").replace('level = "warning"', 'level = "debug"'))
    with running(serve(config, tmp_path)) as program, smtplib.SMTP(*program.ready.submission) as smtp:
        smtp.starttls(context=program.ready.tls())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("nobody@labs.test", "Very-Secret-9")
    lines = [line for line in program.log.read_text().splitlines() if not line.startswith(("#", "AWS_"))]
    events = [json.loads(line)["event"] for line in lines]
    assert {"ready", "sign_in_failed", "draining", "ended"} <= set(events)
    assert "Very-Secret-9" not in program.log.read_text()


def serve(config: Path, folder: Path) -> Program:
    """Start the server with a configuration file."""
    return Program(["serve", "--config", str(config)], folder)


def usual(folder: Path) -> Program:
    """Start the demo as a person would, on its usual ports."""
    return Program(["demo", "--data", str(folder / "data")], folder)


def laboratory(data: str) -> str:
    """Configure a server whose every door is at a free port of the loopback."""
    free = '["127.0.0.1:0"]'
    return (
        f'data = "{data}"\n[api]\nlisten = {free}\n[smtp]\nlisten = {free}\n[submission]\nlisten = {free}\nlisten_tls = {free}\n'
        f'[imap]\nlisten = {free}\nlisten_tls = {free}\n[managesieve]\nlisten = {free}\n[mail]\nhostname = "mail.lab.test"\n'
        '[domains]\nbase = "lab.test"\nverify = false\n[log]\nlevel = "warning"\n'
    )


def presents(program: Program, files: certificates.Files) -> bool:
    """Tell whether a new connection is shown these files' certificate."""
    context = ssl.create_default_context(cafile=files.authority)
    try:
        with socket.create_connection(program.ready.imaps, 5) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1"):
            return True
    except ssl.SSLCertVerificationError:
        return False


def reload(program: Program, event: str) -> None:
    """Send SIGHUP and wait until the log tells what came of it."""
    os.kill(program.process.pid, signal.SIGHUP)
    end = time.monotonic() + 10
    while event not in program.log.read_text():
        assert time.monotonic() < end, program.tail()
        time.sleep(0.02)
