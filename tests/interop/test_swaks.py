"""Swaks, the SMTP test program, at all three ports."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.reader import Reader
from tests.interop.tools import need, run
from tests.program import Endpoint, Ready, User

REFUSED_RECIPIENT = 24
REFUSED_DATA = 26
NO_SIGN_IN = 28
TLS_FAILED = 29


@pytest.fixture
def swaks(ready: Ready) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Return a runner of swaks: an endpoint, then its options."""
    path = need("swaks", "swaks")

    def call(endpoint: Endpoint, *options: str | Path) -> subprocess.CompletedProcess[bytes]:
        host, port = endpoint
        trust = ["--tls-verify", "--tls-ca-path", ready.ca_file] if any(str(option).startswith("--tls") for option in options) else []
        return run([path, "--server", host, "--port", str(port), "--timeout", "30", "--helo", "stranger.test", *trust, *options])

    return call


@pytest.fixture
def marker() -> str:
    return f"marker-{uuid.uuid4().hex}"


def sign_in(user: User, how: str) -> list[str]:
    return ["--auth", how, "--auth-user", user.email, "--auth-password", user.password]


def test_a_stranger_delivers_in_clear(swaks, ready, user, marker):
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", user.email, "--body", marker, "--header", "Subject: plain")
    assert result.returncode == 0, result.stdout.decode()
    with Reader(ready, user) as reader:
        letter = reader.await_letter(marker.encode())
    assert b"Subject: plain\r\n" in letter
    assert b"Return-Path: <bob@stranger.test>\r\n" in letter
    assert re.search(rb"^Received: from stranger\.test \(", letter, re.MULTILINE)
    assert b"\n" not in letter.replace(b"\r\n", b"")


def test_a_stranger_delivers_after_starttls(swaks, ready, user, marker):
    result = swaks(ready.smtp, "--tls", "--from", "bob@stranger.test", "--to", user.email, "--body", marker)
    assert result.returncode == 0, result.stdout.decode()
    assert b"TLS started with cipher TLSv1.3" in result.stdout or b"TLS started with cipher TLSv1.2" in result.stdout
    with Reader(ready, user) as reader:
        letter = reader.await_letter(marker.encode())
    assert re.search(rb"with ESMTPS\b", letter.replace(b"\r\n", b"")), letter.decode()


def test_an_unknown_recipient_is_refused_while_a_known_one_is_served(swaks, ready, user, marker):
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", f"{user.email},nobody.at.all@{ready.domain}", "--body", marker)
    # swaks goes on as long as one recipient is accepted
    assert b"550 5.1.1" in result.stdout
    with Reader(ready, user) as reader:
        assert marker.encode() in reader.await_letter(marker.encode())
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", f"nobody.at.all@{ready.domain}", "--body", marker)
    assert result.returncode == REFUSED_RECIPIENT, result.stdout.decode()


def test_no_relaying_for_strangers(swaks, ready):
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", "carol@elsewhere.test")
    assert result.returncode == REFUSED_RECIPIENT, result.stdout.decode()
    assert re.search(rb"<\*\* +55[04] 5\.7\.1", result.stdout), result.stdout.decode()


@pytest.mark.parametrize("how", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("port", "tls"), [("submission", "--tls"), ("submissions", "--tls-on-connect")])
def test_submission(swaks, ready, hired, marker, how, port, tls):
    writer, user = hired(), hired()
    message = [*sign_in(writer, how), "--from", writer.email, "--to", user.email, "--body", marker]
    result = swaks(getattr(ready, port), tls, *message, "--header", f"From: {writer.email}")
    assert result.returncode == 0, result.stdout.decode()
    with Reader(ready, user) as reader:
        letter = reader.await_letter(marker.encode())
    assert b"ESMTPSA" in letter


@pytest.mark.parametrize(("port", "tls"), [("submission", "--tls"), ("submissions", "--tls-on-connect")])
def test_a_wrong_password_is_refused(swaks, ready, user, port, tls):
    wrong = User(user.id, user.email, "not" + user.password)
    result = swaks(getattr(ready, port), tls, *sign_in(wrong, "PLAIN"), "--from", user.email, "--to", user.email)
    assert result.returncode == NO_SIGN_IN, result.stdout.decode()
    assert b"535 5.7.8" in result.stdout


def test_submission_wants_tls_before_a_password(swaks, ready, user):
    result = swaks(ready.submission, *sign_in(user, "PLAIN"), "--from", user.email, "--to", user.email)
    assert result.returncode != 0
    assert b"AUTH PLAIN" not in result.stdout
    assert user.password.encode() not in result.stdout


def test_submission_wants_a_sign_in(swaks, ready, user):
    result = swaks(ready.submission, "--tls", "--from", user.email, "--to", user.email)
    assert result.returncode != 0
    assert b"530 5.7.0" in result.stdout, result.stdout.decode()


def test_only_own_addresses_as_sender(swaks, ready, hired):
    writer, other = hired(), hired()
    result = swaks(ready.submissions, "--tls-on-connect", *sign_in(writer, "PLAIN"), "--from", other.email, "--to", other.email)
    assert result.returncode != 0
    assert re.search(rb"55[03] 5\.7\.1", result.stdout), result.stdout.decode()


def test_only_own_addresses_in_the_from_line(swaks, ready, hired, marker):
    writer, other = hired(), hired()
    message = ["--from", writer.email, "--to", other.email, "--header", f"From: {other.email}", "--body", marker]
    result = swaks(ready.submissions, "--tls-on-connect", *sign_in(writer, "PLAIN"), *message)
    assert result.returncode == REFUSED_DATA, result.stdout.decode()


def test_a_big_message_arrives_whole(swaks, ready, user, marker, tmp_path):
    lines = b"".join(b"%07d %s\r\n" % (number, b"x" * 60) for number in range(150_000))
    body = tmp_path / "letter"
    body.write_bytes(b"From: bob@stranger.test\r\nSubject: big\r\n\r\n" + marker.encode() + b"\r\n" + lines + b"end of the big one")
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", user.email, "--data", f"@{body}", "--suppress-data")
    assert result.returncode == 0, result.stdout.decode()[-2000:]
    with Reader(ready, user) as reader:
        letter = reader.await_letter(marker.encode())
    assert letter.endswith(marker.encode() + b"\r\n" + lines + b"end of the big one\r\n")


def test_a_message_over_the_limit_is_refused(swaks, ready, user, tmp_path):
    body = tmp_path / "letter"
    # WorkMail takes 40 MB in MIME form
    body.write_bytes(b"Subject: too big\r\n\r\n" + (b"y" * 76 + b"\r\n") * 560_000)
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", user.email, "--data", f"@{body}", "--suppress-data")
    assert result.returncode != 0
    assert re.search(rb"55[24] 5\.(3\.4|2\.3)", result.stdout), result.stdout.decode()[-2000:]


def test_eight_bit_text_arrives_as_sent(swaks, ready, user, marker, tmp_path):
    body = tmp_path / "letter"
    text = "Grüße, 世界, \U0001f4ec".encode()
    body.write_bytes(
        b"From: bob@stranger.test\r\nSubject: 8bit\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text + b" " + marker.encode() + b"\r\n.\r\n..two dots"
    )
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", user.email, "--data", f"@{body}")
    assert result.returncode == 0, result.stdout.decode()
    assert b"8BITMIME" in result.stdout
    with Reader(ready, user) as reader:
        letter = reader.await_letter(marker.encode())
    assert letter.endswith(b"\r\n\r\n" + text + b" " + marker.encode() + b"\r\n.\r\n..two dots\r\n")


def test_many_recipients_one_copy_each(swaks, ready, hired, marker):
    people = [hired() for _ in range(5)]
    to = ",".join(person.email for person in people) + f",{people[0].email},{people[1].email.replace('@', '+tag@')}"
    result = swaks(ready.smtp, "--from", "bob@stranger.test", "--to", to, "--body", marker, "--pipeline")
    assert result.returncode == 0, result.stdout.decode()
    for person in people:
        with Reader(ready, person) as reader:
            reader.await_letter(marker.encode())
            copies = sum(marker.encode() in letter for letter in reader.letters().values())
        assert copies == 1, person.email
