"""Postfix as the stranger: it delivers to us, we deliver to it, and each hears of the other's refusals."""

from __future__ import annotations

import email
import email.policy
import re
import smtplib
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme

from tests.interop.nameserver import Nameserver
from tests.interop.postfix import Postfix
from tests.interop.reader import Reader
from tests.interop.tools import need
from tests.program import Program, Ready, User, demo, hire, running

PEOPLE = ["bob", "carol", "dave"]


@dataclass(frozen=True)
class Correspondence:
    """The program and a Postfix that know the way to each other."""

    program: Program
    postfix: Postfix

    @property
    def ready(self) -> Ready:
        return self.program.ready


def stranger(folder: Path, domain: str) -> Postfix:
    """Prepare a Postfix with a certificate; not yet started."""
    need("postfix", "postfix")
    try:
        authority = trustme.CA()
        certificate = authority.issue_cert(f"mx.{domain}")
        chain, key = folder / f"{domain}.pem", folder / f"{domain}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(str(key))
        return Postfix(domain, PEOPLE, certificate=(chain, key))
    except PermissionError as error:
        pytest.skip(f"Postfix needs root and port 25 of a loopback address: {error}")


@pytest.fixture(scope="module")
def smarthost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Correspondence]:
    """Send everything out through a Postfix that knows our domain."""
    folder = tmp_path_factory.mktemp("smarthost")
    postfix = stranger(folder, "stranger.test")
    with running(demo(folder, smarthost=f"{postfix.address}:25")) as program:
        host, port = program.ready.smtp
        postfix.route({program.ready.domain: f"smtp:[{host}]:{port}"})
        with postfix:
            yield Correspondence(program, postfix)


@pytest.fixture(scope="module")
def exchanger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Correspondence]:
    """Find the stranger by its MX record, behind another that is down."""
    folder = tmp_path_factory.mktemp("exchanger")
    postfix = stranger(folder, "stranger.test")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        zone = {
            ("stranger.test", "MX"): ["10 down.stranger.test.", "20 mx.stranger.test."],
            ("down.stranger.test", "A"): ["127.255.255.254"],
            ("mx.stranger.test", "A"): [postfix.address],
            ("mailless.test", "MX"): ["0 ."],
        }
        with Nameserver(zone) as nameserver:
            server = f"127.0.0.1:{nameserver.port}"
            with running(demo(folder, smarthost="", nameserver=server)) as program, postfix:
                yield Correspondence(program, postfix)


@pytest.fixture
def marker() -> str:
    return f"marker-{uuid.uuid4().hex}"


def by_postfix(postfix: Postfix, sender: str, recipients: list[str], text: bytes, *options: str) -> None:
    """Hand a message to Postfix, as somebody in its network."""
    with smtplib.SMTP(postfix.address, postfix.port, timeout=30) as smtp:
        assert not smtp.sendmail(sender, recipients, text, options)


def by_us(ready: Ready, user: User, recipients: list[str], text: bytes, *options: str) -> None:
    """Submit a message to the program."""
    with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30) as smtp:
        smtp.login(user.email, user.password)
        assert not smtp.sendmail(user.email, recipients, text, options)


def letter(sender: str, recipient: str, marker: str) -> bytes:
    return (
        f"From: {sender}\r\nTo: {recipient}\r\nSubject: a letter\r\nMessage-ID: <{marker}@test>\r\n\r\n{marker}\r\n.\r\n..end\r\n".encode()
    )


def report_of(raw: bytes) -> tuple[EmailMessage, dict[str, str]]:
    """Check that a message is a delivery report (RFC 3464); return it and the fields of its one recipient."""
    message = email.message_from_bytes(raw, policy=email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    assert message.get_content_type() == "multipart/report", raw.decode(errors="replace")
    assert message.get_param("report-type") == "delivery-status"
    text, status, original = list(message.iter_parts())
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert original.get_content_type() in ("message/rfc822", "text/rfc822-headers")
    of_message, of_recipient = status.get_payload()
    assert of_message["Reporting-MTA"].startswith("dns;")
    return message, {name.lower(): str(value) for name, value in of_recipient.items()}


def test_postfix_delivers_to_us(smarthost, marker):
    ready, postfix = smarthost.ready, smarthost.postfix
    user = hire(ready, "user40")
    by_postfix(postfix, "bob@stranger.test", [user.email], letter("bob@stranger.test", user.email, marker))
    with Reader(ready, user) as reader:
        found = reader.await_letter(marker.encode())
    assert found.endswith(f"\r\n\r\n{marker}\r\n.\r\n..end\r\n".encode())
    assert b"Return-Path: <bob@stranger.test>\r\n" in found
    assert re.search(rb"Received: from mx\.stranger\.test \([^)]*\)(?:.|\r\n\s)*?with ESMTPS", found), found.decode()
    assert f"TLS connection established to {ready.smtp[0]}" in postfix.log()


def test_postfix_delivers_a_burst(smarthost):
    """Its connection cache, its pipelining and its twenty deliveries at a time."""
    ready, postfix = smarthost.ready, smarthost.postfix
    user, other = hire(ready, "user41"), hire(ready, "user42")
    count = 150
    with smtplib.SMTP(postfix.address, postfix.port, timeout=30) as smtp:
        for number in range(count):
            text = letter("bob@stranger.test", user.email, f"burst-{number:03}-")
            assert not smtp.sendmail("bob@stranger.test", [user.email, other.email], text)
    for person in (user, other):
        end = time.monotonic() + 60
        with Reader(ready, person) as reader:
            while len(letters := reader.letters()) < count and time.monotonic() < end:
                time.sleep(0.3)
        markers = [re.findall(rb"\r\n\r\n(burst-\d+-)", text)[0] for text in letters.values()]
        assert sorted(markers) == [b"burst-%03d-" % number for number in range(count)]


def test_our_refusal_makes_postfix_report(smarthost, marker):
    ready, postfix = smarthost.ready, smarthost.postfix
    by_postfix(postfix, "carol@stranger.test", [f"nobody.here@{ready.domain}"], letter("carol@stranger.test", "x", marker))
    _, recipient = report_of(postfix.await_letter("carol", marker.encode()))
    assert recipient["action"] == "failed"
    assert recipient["status"] == "5.1.1"
    assert "550 5.1.1" in recipient["diagnostic-code"]


def test_eight_bit_and_utf8_addresses_from_postfix(smarthost, marker):
    ready, postfix = smarthost.ready, smarthost.postfix
    user = hire(ready, "user43")
    text = f"From: jörg@stranger.test\r\nTo: {user.email}\r\nSubject: Grüße\r\n\r\n{marker} 世界\r\n".encode()
    by_postfix(postfix, "bob@stranger.test", [user.email], text, "SMTPUTF8", "BODY=8BITMIME")
    with Reader(ready, user) as reader:
        found = reader.await_letter(marker.encode())
    head, _, body = text.partition(b"\r\n\r\n")
    assert found.endswith(b"\r\n\r\n" + body)
    assert all(line + b"\r\n" in found for line in head.split(b"\r\n"))


def test_we_deliver_to_postfix(smarthost, marker):
    ready, postfix = smarthost.ready, smarthost.postfix
    user = hire(ready, "user44")
    by_us(ready, user, ["bob@stranger.test", "carol@stranger.test"], letter(user.email, "bob@stranger.test", marker))
    for person in ("bob", "carol"):
        found = postfix.await_letter(person, marker.encode())
        assert f"Return-Path: <{user.email}>\n".encode() in found
        assert found.endswith(f"\n\n{marker}\n.\n..end\n".encode())
        assert b"Received: from mx.stranger.test" not in found
    assert sum(marker.encode() in text for text in postfix.letters("bob")) == 1
    assert "TLS connection established from" in postfix.log()


def test_eight_bit_to_postfix(smarthost, marker):
    ready, postfix = smarthost.ready, smarthost.postfix
    user = hire(ready, "user45")
    text = f"From: {user.email}\r\nTo: bob@stranger.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    text += f"Content-Transfer-Encoding: 8bit\r\n\r\n{marker} Grüße 世界\r\n"
    by_us(ready, user, ["bob@stranger.test"], text.encode(), "BODY=8BITMIME")
    raw = postfix.await_letter("bob", marker.encode())
    assert raw.isascii()  # as it was signed
    assert email.message_from_bytes(raw).get_payload(decode=True).decode() == f"{marker} Grüße 世界\n"


def test_postfix_refuses_and_we_report(smarthost, marker):
    ready, postfix = smarthost.ready, smarthost.postfix
    user = hire(ready, "user46")
    by_us(ready, user, ["bob@stranger.test", "stray@stranger.test"], letter(user.email, "bob@stranger.test", marker))
    postfix.await_letter("bob", marker.encode())
    with Reader(ready, user) as reader:
        message, recipient = report_of(reader.await_letter(marker.encode(), b"stray@stranger.test"))
    assert recipient["final-recipient"] == "rfc822;stray@stranger.test" or recipient["final-recipient"] == "rfc822; stray@stranger.test"
    assert recipient["action"] == "failed"
    assert recipient["status"] == "5.1.1"
    assert "550 5.1.1" in recipient["diagnostic-code"]
    assert "mx.stranger.test" in recipient["remote-mta"] or postfix.address in recipient["remote-mta"]
    assert message["Return-Path"] == "<>"
    assert message["Auto-Submitted"].startswith("auto-")
    assert message["To"].addresses[0].addr_spec == user.email


def test_postfix_accepts_then_reports_to_us(smarthost, marker):
    ready = smarthost.ready
    user = hire(ready, "user47")
    by_us(ready, user, ["ghost@stranger.test"], letter(user.email, "ghost@stranger.test", marker))
    with Reader(ready, user) as reader:
        message, recipient = report_of(reader.await_letter(marker.encode(), b"MAILER-DAEMON"))
    assert recipient["status"] == "5.1.1"
    assert message["Return-Path"] == "<>"


def test_mail_finds_the_next_exchanger(exchanger, marker):
    ready, postfix = exchanger.ready, exchanger.postfix
    user = hire(ready, "user48")
    by_us(ready, user, ["bob@stranger.test"], letter(user.email, "bob@stranger.test", marker))
    found = postfix.await_letter("bob", marker.encode())
    assert f"Return-Path: <{user.email}>\n".encode() in found


@pytest.mark.parametrize(("domain", "status"), [("mailless.test", "5.1.10"), ("not-there.test", "5.1.2")])
def test_a_domain_without_mail_is_reported_at_once(exchanger, marker, domain, status):
    """A null MX (RFC 7505 §4) and a domain that does not exist."""
    ready = exchanger.ready
    user = hire(ready, "user49" if domain == "mailless.test" else "user50")
    by_us(ready, user, [f"bob@{domain}"], letter(user.email, f"bob@{domain}", marker))
    with Reader(ready, user) as reader:
        _, recipient = report_of(reader.await_letter(marker.encode()))
    assert recipient["action"] == "failed"
    assert recipient["status"] == status


def test_nothing_is_left_in_postfix_queue(smarthost):
    """Runs last in this file: whatever was handed over has found its end."""
    end = time.monotonic() + 20
    configuration = str(smarthost.postfix.folder / "configuration")
    while True:
        listing = subprocess.run(["postqueue", "-c", configuration, "-p"], capture_output=True, text=True, check=False)
        if "empty" in listing.stdout:
            break
        assert time.monotonic() < end, listing.stdout + listing.stderr + smarthost.postfix.log()[-3000:]
        time.sleep(0.5)
