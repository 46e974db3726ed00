"""A smarthost that is asked by an API and says nothing does not keep the program from ending."""

from __future__ import annotations

import smtplib
import socket
from pathlib import Path

from tests.program import demo, hire, running

AWS = """
[aws]
enabled = true
access_key_id = "key"
secret_access_key = "secret"
endpoint = "http://127.0.0.1:{port}"
"""


def test_it_ends_in_time_while_ses_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        program = demo(tmp_path, smarthost="ses", more=AWS.format(port=silent.getsockname()[1]))
        with running(program):
            ready = program.ready
            user = hire(ready, "author")
            with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30) as client:
                client.login(user.email, user.password)
                client.sendmail(user.email, ["x@far.test"], f"From: {user.email}\r\nSubject: x\r\n\r\nx\r\n")
            asked, _ = silent.accept()
            with asked:
                assert asked.recv(20).startswith(b"POST /v2/email")
                assert program.stop() < 5
