"""SMTP smuggling over the wire: no ending but CRLF.CRLF ends a message, and nothing typed before TLS counts after it."""

from __future__ import annotations

import base64
import smtplib
import uuid

import pytest

from tests.hostile.attacks import blind, dial, read_all, read_until
from tests.interop.reader import Reader
from tests.program import Ready, User, hire

ENDINGS = [
    b"\n.\n",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\n\r\n",
    b"\n\n.\r\n\r\n",
    b"\r\n .\r\n",
    b"\r\n\xe2\x80\xa8.\r\n",
    b"\r\n.\x85",
    b"\r\n.\x0b\r\n",
    b"\r\n.\x1a\r\n",
]


@pytest.fixture(scope="module")
def pair(program) -> tuple[User, User]:
    """Return who gets the letter, and who is to get the smuggled one."""
    return hire(program.ready, "user10"), hire(program.ready, "user11")


def converse(ready: Ready, port: str, user: User, sender: str, recipient: str, data: bytes) -> bytes:
    """Send one message's bytes as they are, with the true ending after them; return the last answers."""
    with dial(getattr(ready, port), 15, blind(ready) if port == "submissions" else None) as sock:
        read_until(sock, b"\r\n")
        commands = [b"EHLO x.test"]
        if port == "submissions":
            commands.append(b"AUTH PLAIN " + base64.b64encode(f"\0{user.email}\0{user.password}".encode()))
        for command in (*commands, f"MAIL FROM:<{sender}>".encode(), f"RCPT TO:<{recipient}>".encode(), b"DATA"):
            sock.sendall(command + b"\r\n")
            answer = read_until(sock, b"\r\n")
            while b"\r\n250-" in b"\r\n" + answer and b"\r\n250 " not in b"\r\n" + answer:
                answer += sock.recv(65536)
        assert answer.startswith(b"354"), answer
        sock.sendall(data + b"\r\n.\r\n")
        sock.sendall(b"QUIT\r\n")
        return read_all(sock, 5)


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
@pytest.mark.parametrize("port", ["smtp", "submissions"])
def test_no_second_message_comes_out(ready, pair, port, ending):
    first, second = pair
    marker = uuid.uuid4().hex.encode()
    sender = "bob@stranger.test" if port == "smtp" else first.email
    head = b"From: %b\r\nSubject: x\r\nX-Outer: %b\r\n\r\nhello" % (sender.encode(), marker)
    smuggled = b"MAIL FROM:<ceo@example.test>\r\nRCPT TO:<%b>\r\nDATA\r\nFrom: ceo@example.test\r\nX-Inner: %b\r\n\r\npay"
    answer = converse(ready, port, first, sender, first.email, head + ending + smuggled % (second.email.encode(), marker))
    with Reader(ready, second) as reader:
        assert not any(marker in letter for letter in reader.letters().values()), "the smuggled one came out"
    with Reader(ready, first) as reader:
        letters = [letter for letter in reader.letters().values() if marker in letter]
    assert len(letters) <= 1
    for letter in letters:
        assert b"\n" not in letter.replace(b"\r\n", b""), "a bare LF goes no further"
        assert b"\r" not in letter.replace(b"\r\n", b""), "a bare CR goes no further"
        assert marker in letter.partition(b"\r\n\r\n")[0]
        assert b"pay" in letter, "it is one message, to its true end"
    if b"\n" in ending.replace(b"\r\n", b"") or b"\r" in ending.replace(b"\r\n", b""):
        assert not letters, "bare CR or LF is refused"
        assert answer[:1] == b"5" or answer == b"", answer


def test_a_bare_line_feed_in_the_commands(ready, pair):
    with dial(ready.smtp, 15) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(b"EHLO x.test\r\n")
        read_until(sock, b"\n250 ")
        sock.sendall(b"MAIL FROM:<bob@stranger.test>\nRCPT TO:<%b>\nDATA\n" % pair[0].email.encode())
        sock.sendall(b"QUIT\r\n")
        assert b"354" not in read_all(sock, 5)


def test_chunks_carry_no_bare_line_feed_either(ready, pair):
    """RFC 3030 takes any bytes; a line-oriented store behind it does not."""
    marker = uuid.uuid4().hex.encode()
    body = b"Subject: x\r\n\r\n%b\n.\nMAIL FROM:<evil@x.test>\n" % marker
    with dial(ready.smtp, 15) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(b"EHLO x.test\r\n")
        read_until(sock, b"\n250 ")
        sock.sendall(b"MAIL FROM:<bob@stranger.test>\r\nRCPT TO:<%b>\r\n" % pair[0].email.encode())
        sock.sendall(b"BDAT %d LAST\r\n%bQUIT\r\n" % (len(body), body))
        read_all(sock, 5)
    with Reader(ready, pair[0]) as reader:
        for letter in reader.letters().values():
            if marker in letter:
                assert b"\n" not in letter.replace(b"\r\n", b"")


@pytest.mark.parametrize("port", ["smtp", "submission"])
def test_nothing_typed_before_tls_counts_after_it(ready, pair, port):
    with dial(getattr(ready, port), 15) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(b"EHLO x.test\r\n")
        read_until(sock, b"\n250 ")
        sock.sendall(b"STARTTLS\r\nEHLO y.test\r\nMAIL FROM:<injected@stranger.test>\r\nRSET\r\nNOOP injected\r\n")
        answer = read_until(sock, b"\r\n")
        if answer.startswith(b"220"):
            with blind(ready).wrap_socket(sock, server_hostname="localhost") as safe:
                safe.sendall(b"RCPT TO:<%b>\r\nQUIT\r\n" % pair[0].email.encode())
                answers = read_all(safe, 5)
            assert answers.startswith(b"5"), answers
        else:
            assert answer[:1] in (b"5", b""), answer


def test_imap_nothing_typed_before_tls_counts_after_it(ready, pair):
    first, _ = pair
    with dial(ready.imap, 15) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(f'a STARTTLS\r\nb LOGIN {first.email} "{first.password}"\r\n'.encode())
        answer = read_until(sock, b"\r\n")
        if answer.startswith(b"a OK"):
            with blind(ready).wrap_socket(sock, server_hostname="localhost") as safe:
                safe.sendall(b"c SELECT INBOX\r\nd LOGOUT\r\n")
                answers = read_all(safe, 5)
            assert b"b OK" not in answers
            assert b"c OK" not in answers


def test_the_true_ending_still_works(ready, pair):
    """Dots at the start of lines are doubled on the wire and single in the mailbox (RFC 5321 §4.5.2)."""
    marker = uuid.uuid4().hex
    with smtplib.SMTP(*ready.smtp, timeout=15) as smtp:
        smtp.sendmail("bob@stranger.test", [pair[0].email], f"Subject: x\r\n\r\n{marker}\r\n.\r\n..\r\n.a\r\n".encode())
    with Reader(ready, pair[0]) as reader:
        assert reader.await_letter(marker.encode()).endswith(b"\r\n.\r\n..\r\n.a\r\n")
