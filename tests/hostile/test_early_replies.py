"""What anybody could have put in before TLS: replies behind a server's 220 to STARTTLS are none of its own, commands behind ours are nobody's."""

from __future__ import annotations

import base64
import smtplib
import socketserver
import ssl
import threading
from pathlib import Path

import trustme

from tests.hostile.attacks import blind, dial, read_all, read_until
from tests.interop.reader import Reader
from tests.program import Ready, User, demo, running

EARLY = b"250-mx.far.test\r\n250 SIZE\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 Go on\r\n250 2.0.0 Taken\r\n221 Bye\r\n"
"""All that a client needs to hear to believe that its letter has arrived."""


class Mallory(socketserver.ThreadingTCPServer):
    """Says all of it at once in clear, and under TLS that there is nobody."""

    daemon_threads = True

    def __init__(self) -> None:
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("mx.far.test").configure_cert(self.tls)
        self.under_tls: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Conversation)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Conversation(socketserver.StreamRequestHandler):
    """One connection."""

    server: Mallory

    def handle(self) -> None:
        self.wfile.write(b"220 mx.far.test\r\n")
        while (line := self.rfile.readline(2000)) and not line.upper().startswith(b"STARTTLS"):
            self.wfile.write(b"250-mx.far.test\r\n250 STARTTLS\r\n")
        self.wfile.write(b"220 2.0.0 Ready\r\n" + EARLY)
        with self.server.tls.wrap_socket(self.connection, server_side=True) as safe, safe.makefile("rwb", 0) as stream:
            while line := stream.readline(2000):
                self.server.under_tls.append(line)
                answer = b"550 5.1.1 Nobody of that name\r\n" if line.upper().startswith(b"RCPT") else b"250 2.0.0 OK\r\n"
                stream.write(answer)  # type: ignore[call-overload]


def test_a_letter_is_not_taken_for_delivered_by_what_was_said_before_tls(tmp_path: Path) -> None:
    with Mallory() as server, running(demo(tmp_path, smarthost=f"127.0.0.1:{server.server_address[1]}")) as program:
        user = program.ready.users[0]
        with smtplib.SMTP_SSL(*program.ready.submissions, context=program.ready.tls()) as client:
            client.login(user.email, user.password)
            client.sendmail(user.email, ["ghost@far.test"], f"From: {user.email}\r\nSubject: Valuable\r\n\r\nTo you alone\r\n")
        with Reader(program.ready, user) as reader:
            report = reader.await_letter(b"Nobody of that name", b"ghost@far.test")
        assert b"Status: 5.1.1" in report
        events = "".join(file.read_text() for file in (tmp_path / "data" / "logs").glob("events*.jsonl"))
    verbs = [line.split()[0].upper() for line in server.under_tls]
    assert verbs[:3] == [b"EHLO", b"MAIL", b"RCPT"]
    assert b"DATA" not in verbs
    assert "OUTGOING_EMAIL_SENT" not in events


def test_managesieve_nothing_typed_before_tls_counts_after_it(ready: Ready, bystander: User) -> None:
    login = base64.b64encode(f"\0{bystander.email}\0{bystander.password}".encode())
    with dial(ready.managesieve, 15) as sock:
        read_until(sock, b"OK ")
        sock.sendall(b'STARTTLS\r\nAUTHENTICATE "PLAIN" "%b"\r\nPUTSCRIPT "injected" {5+}\r\nkeep;\r\n' % login)
        answer = read_until(sock, b"\r\n")
        if answer.startswith(b"OK"):
            with blind(ready).wrap_socket(sock, server_hostname="localhost") as safe:
                safe.sendall(b"LISTSCRIPTS\r\nLOGOUT\r\n")
                answers = read_all(safe, 5)
            assert b"injected" not in answers
            assert b"NO" in answers, "nobody has signed in"
        else:
            assert answer[:2] in (b"NO", b"BY", b""), answer
