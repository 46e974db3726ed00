"""ManageSieve with Debian's sieve-connect, and what an administrator does to the same scripts by `postroom sieve` and `postroom vacation`."""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from postroom.server import cli
from tests.interop.reader import Reader
from tests.interop.tools import need, run
from tests.program import Program, User, demo, running

RULES = 'require ["fileinto", "mailbox"];\nif header :contains "subject" "Offer" {\n  fileinto :create "Offers";\n}\n'


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(demo(tmp_path_factory.mktemp("sieve"))) as program:
        yield program


def connect(program: Program, user: User, *options: str | Path) -> str:
    """Run sieve-connect under STARTTLS with the user's password; return what it said."""
    host, port = program.ready.managesieve
    path = need("sieve-connect", "sieve-connect")
    command = [path, "--server", host, "--port", str(port), "--user", user.email, "--passwordfd", "0", "--authmech", "PLAIN"]
    trust = ["--tlscafile", program.ready.ca_file, "--tlshostname", "localhost"]
    done = run([*command, *trust, *options], stdin=user.password.encode() + b"\n")
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def bring(program: Program, user: User, subject: str, sender: str = "bob@demo.postroom.test") -> None:
    with smtplib.SMTP(*program.ready.smtp, timeout=60) as client:
        date_line = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
        client.sendmail(sender, [user.email], f"From: {sender}\r\nTo: {user.email}\r\nDate: {date_line}\r\nSubject: {subject}\r\n\r\nHello\r\n")


def test_scripts_go_up_and_down_and_are_obeyed(program: Program, tmp_path: Path) -> None:
    user, rules, back = program.ready.users[0], tmp_path / "rules", tmp_path / "back"
    rules.write_text(RULES)
    connect(program, user, "--localsieve", rules, "--remotesieve", "rules", "--upload")
    assert "rules" in connect(program, user, "--list")
    connect(program, user, "--remotesieve", "rules", "--activate")
    assert re.search(r'"rules" ACTIVE', connect(program, user, "--list"))
    connect(program, user, "--localsieve", back, "--remotesieve", "rules", "--download")
    assert back.read_text() == RULES
    bring(program, user, "Offer of the day")
    with Reader(program.ready, user) as reader:
        assert b"Offer of the day" in reader.await_letter(b"Offer", folder="Offers")
    connect(program, user, "--deactivate")
    connect(program, user, "--remotesieve", "rules", "--delete")
    assert "rules" not in connect(program, user, "--list")


def test_an_administrator_sees_and_changes_what_the_user_sees(program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    user, config, rules = program.ready.users[0], str(program.folder / "data" / "postroom.toml"), tmp_path / "rules"

    def postroom(verb: str, *arguments: str) -> tuple[int, str]:
        status = cli.main([verb, "--config", config, *arguments])
        return status, "".join(capsys.readouterr())

    rules.write_text(RULES)
    assert postroom("sieve", "put", user.email, "ours", str(rules), "--activate") == (0, "ours is stored and active.\n")
    assert re.search(r'"ours" ACTIVE', connect(program, user, "--list"))
    assert postroom("sieve", "list", "alice") == (0, f"active {len(RULES):>8} ours\n")
    assert postroom("sieve", "show", "alice", "ours") == (0, RULES)
    rules.write_text("require nonsense;")
    status, said = postroom("sieve", "put", "alice", "ours", str(rules))
    assert (status, said.startswith("postroom: ")) == (1, True)
    assert postroom("sieve", "check", str(rules))[0] == 1
    assert postroom("sieve", "delete", "alice", "ours")[0] == 1  # it is active
    assert postroom("sieve", "show", "alice", "another")[0] == 1
    assert postroom("vacation", "show", "alice") == (0, "There is none.\n")
    assert postroom("sieve", "deactivate", "alice")[0] == 0
    assert postroom("sieve", "delete", "alice", "ours")[0] == 0


def test_somebody_is_away_for_some_days(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    alice, bob = program.ready.users
    config = ["--config", str(program.folder / "data" / "postroom.toml")]
    today = date.today()
    later, text = str(today + timedelta(days=9)), 'Away "for good" until spring.'
    assert cli.main(["vacation", *config, "on", alice.email, "--text", text, "--from", str(today + timedelta(days=2)), "--until", later]) == 0
    bring(program, alice, "too early", bob.email)
    assert cli.main(["vacation", *config, "on", alice.email, "--text", text, "--subject", "Out of office", "--until", later]) == 0
    capsys.readouterr()
    assert cli.main(["vacation", *config, "show", "alice"]) == 0
    assert f'"le" "date" "{later}"' in capsys.readouterr().out
    assert "Automatic reply" in connect(program, alice, "--list")
    bring(program, alice, "in time", bob.email)
    with Reader(program.ready, bob) as reader:
        answer = reader.await_letter(b"Subject: Out of office")
        assert b'Away "for good" until spring.' in answer
        assert b"Auto-Submitted: auto-replied" in answer
        assert cli.main(["vacation", *config, "off", alice.email]) == 0
        assert "Automatic reply" not in connect(program, alice, "--list")
        assert not any(b"too early" in letter for letter in reader.letters().values())
