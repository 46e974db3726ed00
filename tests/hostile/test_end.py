"""SIGTERM with everybody still on the line: five seconds, exit status 0, and what was answered stays."""

from __future__ import annotations

import smtplib
from contextlib import ExitStack

from tests.hostile.attacks import blind, crowd, dial, ports, read_until
from tests.interop.reader import Reader
from tests.program import demo, hire, running


def test_it_ends_in_order(tmp_path):
    with running(demo(tmp_path)) as program:
        ready = program.ready
        user = hire(ready, "user1")
        with ExitStack() as stack:
            for name, endpoint in ports(ready).items():
                silent = stack.enter_context(crowd(endpoint, 30))
                for sock in silent[:10]:
                    sock.sendall({"imap": b"a STARTTLS\r\n", "smtp": b"EHLO x\r\nSTARTTLS\r\n"}.get(name, b"\x16\x03\x01"))
            idle = stack.enter_context(dial(ready.imaps, 30, blind(ready)))
            read_until(idle, b"\r\n")
            idle.sendall(f'a LOGIN {user.email} "{user.password}"\r\nb SELECT INBOX\r\nc IDLE\r\n'.encode())
            read_until(idle, b"+ ")
            glutton = stack.enter_context(dial(ready.imaps, 30, blind(ready)))
            read_until(glutton, b"\r\n")
            body = b"Subject: heavy\r\n\r\n" + b"z" * 76 * 100_000 + b"\r\n"
            glutton.sendall(f'a LOGIN {user.email} "{user.password}"\r\n'.encode())
            glutton.sendall(b"b APPEND Drafts {%d+}\r\n%b\r\n" % (len(body), body))
            read_until(glutton, b"b OK")
            glutton.sendall(b"c SELECT Drafts\r\n" + b"d FETCH 1 BODY.PEEK[]\r\n" * 20)
            talker = stack.enter_context(dial(ready.smtp, 30))
            talker.sendall(b"EHLO x\r\nMAIL FROM:<bob@x.test>\r\nRCPT TO:<%b>\r\nDATA\r\n" % user.email.encode())
            read_until(talker, b"354")
            talker.sendall(b"Subject: never ends\r\n\r\n" + b"and on and on\r\n" * 1000)
            with smtplib.SMTP(*ready.smtp, timeout=30) as smtp:
                smtp.sendmail("bob@x.test", [user.email], b"Subject: kept\r\n\r\nkept\r\n")
            assert program.stop() < 5.5
        program.launch()
        with Reader(program.await_ready(), user) as reader:
            letters = list(reader.letters().values())
        assert len(letters) == 1
        assert b"Subject: kept" in letters[0]
