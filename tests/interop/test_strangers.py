"""Postfix, Exim and OpenSMTPD as strangers: mail in both directions, found by MX, under STARTTLS, with what each of them can."""

from __future__ import annotations

import email
import email.policy
import re
import smtplib
import uuid
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from tests.interop.laboratory import Laboratory, open_laboratory
from tests.interop.reader import Reader
from tests.program import User, hire

PEERS = ["postfix", "exim", "opensmtpd"]
UNDER_TLS = {"postfix": rb"with ESMTPS", "exim": rb"with esmtps", "opensmtpd": rb"with ESMTP "}
"""How each of them says in Received that a letter came under TLS.

Debian 12's OpenSMTPD breaks off every handshake it offers (its key process does not get on with OpenSSL 3), so its letters come in plain.
"""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with open_laboratory(tmp_path_factory.mktemp("laboratory")) as opened:
        yield opened


@pytest.fixture(scope="module")
def alice(laboratory: Laboratory) -> User:
    return hire(laboratory.ready, "correspondent")


def written(sender: str, recipient: str, text: str = "Nothing much.\n.\n..dots\nHere it ends.\n") -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = sender, recipient, f"Subject {uuid.uuid4().hex}"
    letter["Message-ID"] = f"<{uuid.uuid4().hex}@{sender.partition('@')[2]}>"
    letter.set_content(text)
    return letter


def submit(laboratory: Laboratory, user: User, letter: EmailMessage, *recipients: str, options: tuple[str, ...] = ()) -> None:
    with smtplib.SMTP_SSL(*laboratory.ready.submissions, context=laboratory.ready.tls(), timeout=60) as client:
        client.login(user.email, user.password)
        client.send_message(letter, user.email, list(recipients), mail_options=options)


def hand_to(laboratory: Laboratory, name: str, letter: EmailMessage, sender: str, recipient: str) -> None:
    """Have a peer's user send a letter."""
    peer = laboratory.peers[name]
    with smtplib.SMTP(peer.address, 25, timeout=60) as client:
        client.send_message(letter, sender, [recipient])


def body(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


@pytest.mark.parametrize("name", PEERS)
def test_a_letter_goes_to_a_stranger_with_its_dots_under_tls_where_that_works(laboratory: Laboratory, alice: User, name: str) -> None:
    letter = written(alice.email, f"bob@{laboratory.domains[name]}")
    submit(laboratory, alice, letter, letter["To"])
    arrived = laboratory.peers[name].await_letter("bob", letter["Message-ID"].encode())
    assert body(arrived) == b"Nothing much.\n.\n..dots\nHere it ends.\n"
    received = arrived.partition(b"Received: ")[2].partition(b"Received: ")[0]
    assert b"from mx.demo.postroom.test" in received or b"helo=mx.demo.postroom.test" in received
    assert re.search(UNDER_TLS[name], received), received


@pytest.mark.parametrize("name", PEERS)
def test_a_letter_comes_from_a_stranger_under_tls_and_is_known_to(laboratory: Laboratory, alice: User, name: str) -> None:
    sender = f"bob@{laboratory.domains[name]}"
    letter = written(sender, alice.email)
    hand_to(laboratory, name, letter, sender, alice.email)
    with Reader(laboratory.ready, alice) as reader:
        arrived = reader.await_letter(letter["Message-ID"].encode())
    assert body(arrived) == b"Nothing much.\n.\n..dots\nHere it ends.\n"
    received = arrived.partition(b"Received: ")[2].partition(b"Received: ")[0]
    assert f"from mx.{laboratory.domains[name]} ".encode() in received
    assert b"with ESMTPS" in received
    assert b"TLSv1." in received
    found = re.search(rb"Authentication-Results: mx\.demo\.postroom\.test.*?\r\n(?![ \t])", arrived, re.S | re.I)
    assert found is not None
    assert b"spf=pass" in found[0]


@pytest.mark.parametrize("name", PEERS)
def test_eight_bits_and_long_letters_pass_both_ways(laboratory: Laboratory, alice: User, name: str) -> None:
    stranger = f"bob@{laboratory.domains[name]}"
    text = "Grüße aus Köln, 東京, и Москва.\n" * 20_000
    there, back = written(alice.email, stranger), written(stranger, alice.email)
    for letter in (there, back):
        letter.set_content(text, cte="8bit")
    submit(laboratory, alice, there, stranger, options=("BODY=8BITMIME",))
    arrived = email.message_from_bytes(laboratory.peers[name].await_letter("bob", there["Message-ID"].encode()), policy=email.policy.default)
    assert isinstance(arrived, EmailMessage)
    assert arrived.get_content().replace("\r\n", "\n") == text  # our own letters leave in seven bits, as they are signed
    with smtplib.SMTP(laboratory.peers[name].address, 25, timeout=60) as client:
        client.send_message(back, stranger, [alice.email], mail_options=("BODY=8BITMIME",))
    with Reader(laboratory.ready, alice) as reader:
        assert body(reader.await_letter(back["Message-ID"].encode())).decode() == text


@pytest.mark.parametrize("name", PEERS)
def test_who_writes_to_nobody_hears_of_it_in_both_directions(laboratory: Laboratory, alice: User, name: str) -> None:
    domain = laboratory.domains[name]
    there = written(alice.email, f"ghost@{domain}")
    submit(laboratory, alice, there, there["To"])
    with Reader(laboratory.ready, alice) as reader:
        report = reader.await_letter(b"ghost@" + domain.encode(), there["Message-ID"].encode())
    assert re.search(rb"multipart/report", report)
    back = written(f"carol@{domain}", "nobody.at.all@demo.postroom.test")
    hand_to(laboratory, name, back, f"carol@{domain}", back["To"])
    told = laboratory.peers[name].await_letter("carol", b"nobody.at.all@demo.postroom.test")
    assert b"5.1.1" in told or b"550" in told


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_names_beyond_ascii_go_where_they_are_understood(laboratory: Laboratory, alice: User, name: str) -> None:
    letter = written(alice.email, f"bob@{laboratory.domains[name]}")
    letter["Reply-To"] = "jürgen@müller.test"
    with smtplib.SMTP_SSL(*laboratory.ready.submissions, context=laboratory.ready.tls(), timeout=60) as client:
        client.login(alice.email, alice.password)
        raw = letter.as_bytes(policy=letter.policy.clone(utf8=True, linesep="\r\n"))
        client.sendmail(alice.email, [letter["To"]], raw, mail_options=("SMTPUTF8", "BODY=8BITMIME"))
    assert "Reply-To: jürgen@müller.test".encode() in laboratory.peers[name].await_letter("bob", letter["Message-ID"].encode())


def confirmed(raw: bytes) -> bytes:
    """Give the part of a report that programs read."""
    return raw.replace(b"\r\n", b"\n").partition(b"delivery-status\n")[2]


def test_a_server_that_has_dsn_confirms_a_delivery_itself(laboratory: Laboratory, alice: User) -> None:
    """What alice said of the envelope reaches Postfix, and her program's words come back in its report."""
    letter = written(alice.email, f"bob@{laboratory.domains['postfix']}")
    with smtplib.SMTP_SSL(*laboratory.ready.submissions, context=laboratory.ready.tls(), timeout=60) as client:
        client.login(alice.email, alice.password)
        said = ("NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;robert+2B1@{laboratory.domains['postfix']}")
        client.send_message(letter, alice.email, [letter["To"]], mail_options=("RET=HDRS", "ENVID=order+2B7"), rcpt_options=said)
    with Reader(laboratory.ready, alice) as reader:
        report = confirmed(reader.await_letter(b"Original-Envelope-Id: order+7", letter["Message-ID"].encode()))
    assert f"Original-Recipient: rfc822;robert+1@{laboratory.domains['postfix']}".encode() in report
    assert f"Reporting-MTA: dns; mx.{laboratory.domains['postfix']}".encode() in report
    assert b"Action: delivered" in report


def test_exim_confirms_too(laboratory: Laboratory, alice: User) -> None:
    letter = written(alice.email, f"bob@{laboratory.domains['exim']}")
    with smtplib.SMTP_SSL(*laboratory.ready.submissions, context=laboratory.ready.tls(), timeout=60) as client:
        client.login(alice.email, alice.password)
        client.send_message(letter, alice.email, [letter["To"]], rcpt_options=("NOTIFY=SUCCESS",))
    with Reader(laboratory.ready, alice) as reader:
        report = confirmed(reader.await_letter(letter["Message-ID"].encode(), b"delivery-status"))
    assert b"Action: delivered" in report


def test_a_stranger_hears_of_a_delivery_here(laboratory: Laboratory, alice: User) -> None:
    sender = f"bob@{laboratory.domains['postfix']}"
    letter = written(sender, alice.email)
    with smtplib.SMTP(laboratory.peers["postfix"].address, 25, timeout=60) as client:
        client.send_message(letter, sender, [alice.email], mail_options=("ENVID=order9",), rcpt_options=("NOTIFY=SUCCESS",))
    report = confirmed(laboratory.peers["postfix"].await_letter("bob", b"Original-Envelope-Id: order9"))
    assert b"Reporting-MTA: dns; demo.postroom.test" in report
    assert b"Action: delivered" in report
