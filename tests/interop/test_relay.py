"""Nobody who has not signed in sends anything elsewhere through the program, whatever an address looks like, and nobody is answered who did not write.

The tables say what is taken at each door. Where somebody is taken for a recipient, a letter goes in; in the end exactly that has left which users
have sent, and what their own rules send on.
"""

from __future__ import annotations

import base64
import itertools
import re
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from postroom.server import cli
from tests.conftest import PROGRAM_ENGINES, new_database
from tests.interop.nameserver import Nameserver
from tests.interop.tools import need, run
from tests.program import Endpoint, Program, User, running
from tests.server.served import configured, eventually, workmail
from tests.sink import Sink

PASSWORD = "Correct-Horse-7x"
HOME, ABROAD = "127.0.0.1", "127.0.0.77"
"""Where a trusted network is, and where it is not."""
MORE = """
[domains]
base = "postroom.test"
verify = false
[filters]
headers = false
[allowance]
external = 100000
[spikes]
enabled = false
"""
LIMITS = f"""maximum_errors = 1000000
maximum_idle_commands = 1000000
unknown_recipients_per_minute = 1000000
unknown_recipients_per_minute_of_user = 1000000
trusted_networks = ["{HOME}/32"]
postmaster = "alice@ours.test"
"""
ZONE = {
    ("good.test", "TXT"): ['"v=spf1 ip4:127.0.0.0/8 -all"'],
    ("forged.test", "TXT"): ['"v=spf1 -all"'],
    ("neutral.test", "TXT"): ['"v=spf1 ?all"'],
    ("strict.test", "TXT"): ['"v=spf1 ip4:127.0.0.0/8 -all"'],
    ("_dmarc.strict.test", "TXT"): ['"v=DMARC1; p=none"'],
}

TO_BOB, TO_CAROL, TO_GROUP, AWAY, LITERAL = "bob", "carol", "group", "away", "literal"
"""What a recipient comes to where it is taken: somebody here, somebody of another organization, a group, somebody elsewhere."""

RECIPIENTS: dict[str, tuple[str, str, str, str]] = {
    # how it is written in RCPT TO: (that, what a stranger hears, what a user hears, what it comes to)
    "ours": ("<bob@ours.test>", "250", "250", TO_BOB),
    "ours in capitals": ("<BOB@OURS.TEST>", "250", "250", TO_BOB),
    "ours with a tag": ("<bob+tag@ours.test>", "250", "250", TO_BOB),
    "ours quoted": ('<"bob"@ours.test>', "250", "250", TO_BOB),
    "another organization's": ("<carol@theirs.test>", "250", "250", TO_CAROL),
    "a group with somebody remote": ("<staff@ours.test>", "250", "250", TO_GROUP),
    "postmaster": ("<postmaster>", "250", "250", TO_BOB),
    "postmaster of ours": ("<Postmaster@ours.test>", "250", "250", TO_BOB),
    "postmaster elsewhere": ("<postmaster@far.test>", "550", "250", AWAY),
    "foreign": ("<x@far.test>", "550", "250", AWAY),
    "foreign in capitals": ("<X@FAR.TEST>", "550", "250", AWAY),
    "foreign, and a word of the sender's": ("<x@far.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@ours.test", "550", "250", AWAY),
    "percent": ("<x%far.test@ours.test>", "550", "550", ""),
    "percent in quotes": ('<"x%far.test"@ours.test>', "550", "550", ""),
    "percent twice": ("<x%far.test%ours.test@ours.test>", "550", "550", ""),
    "percent at a literal": ("<x%far.test@[127.0.0.1]>", "550", "250", LITERAL),
    "bang": ("<far.test!x@ours.test>", "550", "550", ""),
    "bang alone": ("<far.test!x>", "501", "501", ""),
    "a route through us": ("<@ours.test:x@far.test>", "550", "250", AWAY),
    "a route through others": ("<@ours.test,@far.test:x@far.test>", "550", "250", AWAY),
    "a route to us": ("<@far.test:bob@ours.test>", "250", "250", TO_BOB),
    "a route and percent": ("<@ours.test:x%far.test@ours.test>", "550", "550", ""),
    "an address in quotes": ('<"x@far.test"@ours.test>', "550", "550", ""),
    "a route in quotes": ('<"@ours.test:x@far.test"@ours.test>', "550", "550", ""),
    "an address with a comma in quotes": ('<"bob@ours.test,x@far.test"@ours.test>', "550", "550", ""),
    "a literal of ours": ("<bob@[127.0.0.1]>", "550", "250", LITERAL),
    "a literal": ("<x@[192.0.2.1]>", "550", "250", LITERAL),
    "a literal of version 6": ("<x@[IPv6:::1]>", "550", "250", LITERAL),
    "ours with a dot at the end": ("<bob@ours.test.>", "501", "501", ""),
    "foreign with a dot at the end": ("<x@far.test.>", "501", "501", ""),
    "foreign with two dots": ("<x@far..test>", "501", "501", ""),
    "below ours": ("<bob@sub.ours.test>", "550", "250", AWAY),
    "ours as the beginning": ("<bob@ours.test.far.test>", "550", "250", AWAY),
    "ours as the end": ("<bob@notours.test>", "550", "250", AWAY),
    "unknown": ("<nobody@ours.test>", "550", "550", ""),
    "somebody remote": ("<remote@ours.test>", "550", "550", ""),
    "somebody gone": ("<gone@ours.test>", "550", "550", ""),
    "a return path nobody has made": ("<SRS0=AAAAAAAA=BB=far.test=x@ours.test>", "550", "550", ""),
    "two at once": ("<bob@ours.test>,<x@far.test>", "501", "501", ""),
    "two in one": ("<bob@ours.test,x@far.test>", "501", "501", ""),
    "two at-signs": ("<x@far.test@ours.test>", "501", "501", ""),
    "a space within": ("<x @far.test>", "501", "501", ""),
    "no brackets": ("x@far.test", "501", "501", ""),
    "no domain": ("<bob>", "501", "501", ""),
    "nothing": ("<>", "501", "501", ""),
    "a parameter": ("<bob@ours.test> RELAY=x@far.test", "555", "555", ""),
}
SENDERS = {"ours": "alice@ours.test", "another user's": "bob@ours.test", "foreign": "x@far.test", "nobody": ""}
MAIL = {
    # what MAIL FROM is answered: to a stranger at 25, to a user who has signed in as alice
    "ours": ("250", "250"),
    "another user's": ("250", "550"),
    "foreign": ("250", "550"),
    "nobody": ("250", "250"),
}


@dataclass(frozen=True)
class Door:
    """A way in: a port, from where, and whether somebody signs in there."""

    name: str
    listener: str
    address: str = ABROAD
    signed_in: bool = False

    @property
    def submission(self) -> bool:
        return self.listener != "smtp"


DOORS = [
    Door("25 from abroad", "smtp"),
    Door("25 from a trusted network", "smtp", HOME),
    Door("587", "submission"),
    Door("587 from a trusted network", "submission", HOME),
    Door("587 signed in", "submission", signed_in=True),
    Door("465", "submissions"),
    Door("465 from a trusted network", "submissions", HOME),
    Door("465 signed in", "submissions", signed_in=True),
]


class Dialogue:
    """A connection on which lines are said as they are."""

    def __init__(self, endpoint: Endpoint, door: Door, tls: ssl.SSLContext) -> None:
        self.socket = socket.create_connection(endpoint, 30, source_address=(door.address, 0))
        if door.listener == "submissions":
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        assert self.hear().startswith("220")
        self.say("EHLO client.test")
        if door.listener == "submission":
            assert self.say("STARTTLS").startswith("220")
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            self.file = self.socket.makefile("rb")
            self.say("EHLO client.test")

    def hear(self) -> str:
        while True:
            line = self.file.readline().decode()
            assert line, "the server has hung up"
            if line[3:4] != "-":
                return line.rstrip()

    def say(self, line: str) -> str:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.hear()

    def sign_in(self, user: User) -> None:
        assert self.say("AUTH PLAIN " + base64.b64encode(f"\0{user.email}\0{user.password}".encode()).decode()).startswith("235")


@dataclass
class Town:
    """The program with its people, and what leaves it."""

    program: Program
    config: Path
    sink: Sink
    client: Any
    people: dict[str, User] = field(default_factory=dict)

    def settle(self) -> None:
        self.ours, self.theirs = self.organization("ours"), self.organization("theirs")
        for name in ("alice", "bob", "dora", "vera", "rita", "gone", "forward"):
            self.hire(self.ours, name, "ours.test")
        self.hire(self.theirs, "carol", "theirs.test")
        self.client.deregister_from_work_mail(OrganizationId=self.ours, EntityId=self.people["gone"].id)
        remote = self.client.create_user(OrganizationId=self.ours, Name="remote", DisplayName="remote", Role="REMOTE_USER")["UserId"]
        self.client.register_to_work_mail(OrganizationId=self.ours, EntityId=remote, Email="remote@ours.test")
        group = self.client.create_group(OrganizationId=self.ours, Name="staff")["GroupId"]
        self.client.register_to_work_mail(OrganizationId=self.ours, EntityId=group, Email="staff@ours.test")
        for member in (self.people["bob"].id, remote):
            self.client.associate_member_to_group(OrganizationId=self.ours, GroupId=group, MemberId=member)

    def organization(self, name: str) -> str:
        made: str = self.client.create_organization(Alias=name)["OrganizationId"]
        eventually(lambda: self.client.describe_organization(OrganizationId=made)["State"] == "Active")
        self.client.register_mail_domain(OrganizationId=made, DomainName=f"{name}.test")
        return made

    def hire(self, organization: str, name: str, domain: str) -> None:
        user = self.client.create_user(OrganizationId=organization, Name=name, DisplayName=name, Password=PASSWORD)["UserId"]
        self.client.register_to_work_mail(OrganizationId=organization, EntityId=user, Email=f"{name}@{domain}")
        self.people[name] = User(user, f"{name}@{domain}", PASSWORD)

    def open(self, door: Door) -> Dialogue:
        dialogue = Dialogue(getattr(self.program.ready, door.listener), door, self.program.ready.tls())
        if door.signed_in:
            dialogue.sign_in(self.people["alice"])
        return dialogue

    def rules(self, name: str, text: str) -> None:
        """Put somebody's script by ManageSieve."""
        user, ready = self.people[name], self.program.ready
        with socket.create_connection(ready.managesieve, 30) as plain:
            _sieve(plain, b"", b"OK")
            _sieve(plain, b"STARTTLS\r\n", b"OK")
            with ready.tls().wrap_socket(plain, server_hostname="localhost") as secure:
                _sieve(secure, b"", b"OK")
                credentials = base64.b64encode(f"\0{user.email}\0{user.password}".encode())
                _sieve(secure, b'AUTHENTICATE "PLAIN" "' + credentials + b'"\r\n', b"OK")
                _sieve(secure, b'PUTSCRIPT "r" {%d+}\r\n%s\r\n' % (len(text.encode()), text.encode()), b"OK")
                _sieve(secure, b'SETACTIVE "r"\r\n', b"OK")

    def bring(self, sender: str, *recipients: str, author: str = "", subject: str = "letter", more: str = "") -> dict[str, str]:
        """Have a stranger bring a letter; give the code that each recipient heard, or the letter for all who were taken."""
        dialogue, heard = self.open(DOORS[0]), {}
        assert dialogue.say(f"MAIL FROM:<{sender}>").startswith("250")
        for recipient in recipients:
            heard[recipient] = dialogue.say(f"RCPT TO:<{recipient}>")[:3]
        if "250" in heard.values():
            assert dialogue.say("DATA").startswith("354")
            to = ", ".join(recipients)
            text = f"From: <{author or sender or 'a@good.test'}>\r\nTo: {to}\r\nSubject: {subject}\r\n{more}\r\nx\r\n."
            code = dialogue.say(text)[:3]
            heard = {recipient: code if answer == "250" else answer for recipient, answer in heard.items()}
        return heard

    def marker(self, subject: str) -> None:
        """Wait until a letter has left that was sent after all the others."""
        ready, alice = self.program.ready, self.people["alice"]
        with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30) as client:
            client.login(alice.email, alice.password)
            client.sendmail(alice.email, ["marker@far.test"], f"From: {alice.email}\r\nSubject: {subject}\r\n\r\nx\r\n")
        self.sink.await_one(lambda one: one.subject == subject)

    def left(self) -> list[tuple[str, str, str]]:
        """List who is said to have sent what to whom of all that has left so far, and forget it."""
        taken, self.sink.taken[:] = list(self.sink.taken), []
        return sorted((one.sender, one.recipient, one.subject) for one in taken)


def _sieve(connection: socket.socket, said: bytes, wanted: bytes) -> None:
    connection.sendall(said)
    heard = b""
    while not re.search(rb"(^|\n)(OK|NO|BYE)\b[^\n]*\n\Z", heard):
        octets = connection.recv(4096)
        assert octets
        heard += octets
    assert heard.splitlines()[-1].startswith(wanted), heard


@pytest.fixture(scope="module", params=PROGRAM_ENGINES)
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with new_database() if request.param == "postgresql" else nullcontext("") as dsn, Sink() as sink, Nameserver(ZONE) as names:
        more = MORE + f'[dns]\nnameservers = ["127.0.0.1:{names.port}"]\n'
        more += f'[storage]\nengine = "postgresql"\ndsn = "{dsn}"\n' if dsn else ""
        config = configured(folder, more)
        text = config.read_text().replace("[mail]\n", f'[mail]\nsmarthost = "{sink.where}"\n')
        for table in ("[smtp]\n", "[submission]\n"):
            text = text.replace(table, table + LIMITS)
        config.write_text(text)
        with running(Program(["serve", "--config", str(config)], folder)) as program:
            opened = Town(program, config, sink, workmail(program))
            opened.settle()
            yield opened


def expected(door: Door, sender: str, recipient: str) -> tuple[str, str]:
    """Give what MAIL and RCPT are answered."""
    _, stranger, user, _ = RECIPIENTS[recipient]
    if not door.submission:
        return MAIL[sender][0], stranger
    if not door.signed_in:
        return "530", "503" if stranger in ("250", "550") else stranger
    mail = MAIL[sender][1]
    return mail, user if mail == "250" or user in ("501", "555") else "503"


def test_what_is_taken_at_each_door_and_what_leaves(town: Town) -> None:
    leaving, numbers, wrong = [], itertools.count(1), []
    for door in DOORS:
        dialogue = town.open(door)
        for sender, recipient in itertools.product(SENDERS, RECIPIENTS):
            path, _, _, comes_to = RECIPIENTS[recipient]
            assert dialogue.say("RSET").startswith("250")
            heard = (dialogue.say(f"MAIL FROM:<{SENDERS[sender]}>")[:3], dialogue.say(f"RCPT TO:{path}")[:3])
            if heard != expected(door, sender, recipient):
                wrong.append((door.name, sender, recipient, heard, expected(door, sender, recipient)))
            if heard != ("250", "250"):
                assert dialogue.say("DATA")[:1] == "5"
            elif comes_to != LITERAL:  # the smarthost would take them, too
                subject = f"matrix {next(numbers)}"
                assert dialogue.say("DATA").startswith("354")
                author = "alice@ours.test" if door.signed_in else "x@far.test"
                assert dialogue.say(f"From: {author}\r\nTo: x@far.test\r\nSubject: {subject}\r\n\r\nx\r\n.")[:3] == "250"
                if comes_to == AWAY:
                    leaving.append((SENDERS[sender], path.partition(">")[0].rpartition(":")[2].lstrip("<"), subject))
    assert wrong == []
    assert len(leaving) == 2 * 2 * sum(comes_to == AWAY for *_, comes_to in RECIPIENTS.values())
    eventually(lambda: len(town.sink.taken) >= len(leaving))
    town.marker("matrix marker")
    assert town.left() == sorted([*leaving, ("alice@ours.test", "marker@far.test", "matrix marker")])


def test_swaks_finds_no_open_relay(town: Town) -> None:
    path, ready = need("swaks", "swaks"), town.program.ready

    def call(endpoint: Endpoint, recipient: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        host, port = endpoint
        known = ["--helo", "client.test", "--timeout", "30", "--tls-ca-path", ready.ca_file, "--header", "Subject: swaks"]
        return run([path, "--server", host, "--port", str(port), "--to", recipient, *known, *options])

    for recipient in ("x@far.test", "x%far.test@ours.test", "@ours.test:x@far.test"):
        for options in (("--from", "x@far.test"), ("--from", "<>"), ("--from", "alice@ours.test", "--tls")):
            assert call(ready.smtp, recipient, *options).returncode == 24, (recipient, options)
        assert call(ready.submission, recipient, "--from", "alice@ours.test", "--tls").returncode == 23, recipient
        assert call(ready.submissions, recipient, "--from", "alice@ours.test", "--tls-on-connect").returncode == 23, recipient
    alice = ["--auth", "PLAIN", "--auth-user", "alice@ours.test", "--auth-password", PASSWORD]
    assert call(ready.smtp, "x@far.test", "--from", "alice@ours.test", "--tls", *alice).returncode == 28
    assert call(ready.submission, "x@far.test", "--from", "alice@ours.test", "--tls", *alice).returncode == 0
    town.sink.await_one(lambda one: one.subject == "swaks")
    assert town.left() == [("alice@ours.test", "x@far.test", "swaks")]


def test_a_rule_of_a_user_sends_on_what_is_for_that_user_under_a_name_of_ours(town: Town) -> None:
    town.rules("forward", 'redirect "elsewhere@far.test"; redirect "bob@ours.test";')
    assert town.bring("x@good.test", "forward@ours.test", subject="forwarded") == {"forward@ours.test": "250"}
    assert town.bring("", "forward@ours.test", subject="forwarded") == {"forward@ours.test": "250"}
    eventually(lambda: len(town.sink.taken) == 2)
    town.marker("forward marker")
    nobody, (sender, *somebody), (marker, *_) = town.left()
    assert nobody == ("", "elsewhere@far.test", "forwarded")
    assert (somebody, marker) == (["elsewhere@far.test", "forwarded"], "alice@ours.test")
    assert re.fullmatch(r"SRS0=[^@]+=good\.test=x@ours\.test", sender)
    # its bounce comes back to whom it came from; nobody else's mail, and no other name
    assert town.bring("x@far.test", sender)[sender] == "550"
    assert town.bring("", sender.replace("=x@", "=y@")) == {sender.replace("=x@", "=y@"): "550"}
    assert town.bring("", sender, subject="bounced") == {sender: "250"}
    town.sink.await_one(lambda one: one.subject == "bounced")
    assert town.left() == [("", "x@good.test", "bounced")]


AUTOMATIC = "Auto-Submitted: auto-replied\r\n"
ANSWERED = [
    # return path, author, further lines: whether an automatic reply goes there, and whether a report of a refusal does
    ("", "", "", False, False),
    ("x@forged.test", "", "", False, False),
    ("x@neutral.test", "", "", True, False),  # SPF says nothing: perhaps a person; a report would be one more letter that says nothing
    ("x@unknown.test", "", "", True, False),
    ("x@good.test", "x@strict.test", "", False, True),  # the author is forged, the return path is not
    ("alice@ours.test", "", AUTOMATIC, False, False),
    ("mailer-daemon@good.test", "", AUTOMATIC, False, True),
    ("y@good.test", "", "", True, True),
]


def test_nobody_is_answered_who_may_not_have_written(town: Town) -> None:
    """Neither replies nor reports of refusals go to a return path that is forged, and none at all where there is none."""
    town.rules("vera", 'require ["vacation", "vacation-seconds"]; vacation :seconds 0 "away";')
    town.rules("rita", 'require "reject"; reject "not wanted";')
    wanted = []
    for sender, author, more, replied, reported in ANSWERED:
        subject = f"letter of {sender}"
        heard = town.bring(sender, "vera@ours.test", "rita@ours.test", "nobody@ours.test", author=author, subject=subject, more=more)
        assert heard == {"vera@ours.test": "250", "rita@ours.test": "250", "nobody@ours.test": "550"}
        assert town.bring(sender, "nobody@ours.test") == {"nobody@ours.test": "550"}
        assert town.bring(sender, "rita@ours.test", author=author) == {"rita@ours.test": "550"}  # refused in the answer
        wanted += [("", sender, f"Auto: {subject}")] * replied + [("", sender, "Undelivered mail returned to sender")] * reported
    eventually(lambda: len(town.sink.taken) >= len(wanted))
    town.marker("backscatter marker")
    assert town.left() == sorted([*wanted, ("alice@ours.test", "marker@far.test", "backscatter marker")])


def test_junk_and_what_a_rule_returns_is_not_sent_back_to_forged_senders(town: Town) -> None:
    town.rules("dora", 'require "vacation"; vacation "away";')
    for arguments in (
        ["put", "in", "junk", "junk", "--from", "good.test"],
        ["put", "in", "back", "bounce", "--from", "forged.test", "--to", "bob@ours.test"],
    ):
        assert cli.main(["flow", "--config", str(town.config), "--organization", "ours", *arguments]) == 0
    assert town.bring("y@good.test", "dora@ours.test", subject="junk") == {"dora@ours.test": "250"}
    assert town.bring("x@forged.test", "bob@ours.test", subject="returned") == {"bob@ours.test": "550"}
    assert town.bring("x@forged.test", "bob@ours.test", "dora@ours.test", subject="returned for one") == dict.fromkeys(
        ("bob@ours.test", "dora@ours.test"), "250"
    )
    town.marker("junk marker")
    assert town.left() == [("alice@ours.test", "marker@far.test", "junk marker")]
