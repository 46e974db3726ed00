"""What a stranger sees at the door, in dialogues of swaks with the whole program and the DNS of a laboratory: lists, greylisting, rates."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator

import pytest

from tests.interop.knot import Knot
from tests.interop.tools import need, run
from tests.program import Program, running
from tests.server.served import eventually

CONFIGURATION = """\
data = "."
[api]
listen = ["127.0.0.1:8080"]
[smtp]
listen = ["127.0.0.1:2525"]
postmaster = "alice@demo.postroom.test"
trusted_networks = []
connections_per_minute = 20
messages_per_minute = 10
unknown_recipients_per_minute = 2
[submission]
listen = ["127.0.0.1:2587"]
listen_tls = ["127.0.0.1:2465"]
[imap]
listen = ["127.0.0.1:2143"]
listen_tls = ["127.0.0.1:2993"]
[mail]
hostname = "mx.demo.postroom.test"
[dns]
nameservers = ["{resolver}"]
[domains]
verify = false
[filters.blocklists]
refuse = ["list.test", "everything.test"]
score = {{ "half.test" = 0.6 }}
domains = {{ "names.test" = 0.6 }}
[filters.greylisting]
enabled = true
delay_seconds = 10.0
networks = ["127.1.0.0/16"]
"""
LISTED, LISTED_BY_HALF, CLEAN, BUSY, GUESSING, CROWD, UNKNOWN = (f"127.1.0.{at}" for at in (2, 3, 4, 5, 6, 7, 8))
STRANGER = "127.2.0.2"
ZONE = [
    "2.0.1.127.list.test. A 127.0.0.2",
    "8.0.1.127.list.test. A 127.255.255.254",  # a list that does not serve this resolver
    "3.0.1.127.half.test. A 127.0.0.2",
    "*.everything.test. A 127.0.0.2",  # a list that has been given up
    "shop.test.names.test. A 127.0.1.2",
    "shop.test. MX 10 mx.shop.test.",
    "friend.test. MX 10 mx.friend.test.",
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("door")
    for name in ("data", "knot"):
        (folder / name).mkdir()
    with Knot(folder / "knot", zones=["."]) as knot:
        knot.publish(ZONE)
        (folder / "data" / "postroom.toml").write_text(CONFIGURATION.format(resolver=knot.address))
        with running(Program(["demo", "--data", str(folder / "data"), "--any-ports"], folder)) as program:
            yield program


def swaks(program: Program, client: str, *options: str, sender: str = "m@friend.test", to: str = "") -> tuple[int, list[str]]:
    """Have swaks bring a letter from an address; give its exit status and what the server said."""
    (host, port), recipient = program.ready.smtp, to or program.ready.users[0].email
    path = need("swaks", "swaks")
    command = [path, "--server", host, "--port", str(port), "--local-interface", client, "--helo", "mx.friend.test", "--from", sender, "--to", recipient]
    done = run([*command, *options])
    return done.returncode, re.findall(r"^<(?:-|\*\*) +(.*)$", done.stdout.decode(), re.MULTILINE)


def junk(program: Program) -> str:
    with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls()) as client:
        client.login(program.ready.users[0].email, program.ready.users[0].password)
        client.select('"Junk Email"')
        return str(client.fetch("1:*", "(BODY[HEADER])")[1])


def test_who_is_listed_is_refused_but_may_write_to_postmaster(program: Program) -> None:
    status, said = swaks(program, LISTED)
    assert status == 24
    assert f"550 5.7.1 {LISTED} is listed by list.test" in said
    status, said = swaks(program, LISTED, to="postmaster@demo.postroom.test")
    assert (status, any(line.startswith("250 2.1.5") for line in said)) == (0, True)


def test_who_is_not_listed_gets_in_whatever_lists_say_that_cannot_be_believed(program: Program) -> None:
    for client in (CLEAN, UNKNOWN):
        status, said = swaks(program, client)
        assert status == 0, said
        assert said[-2].startswith("250 2.0.0 "), said


def test_lists_that_count_make_junk_together(program: Program) -> None:
    status, said = swaks(program, LISTED_BY_HALF, "--header", "Subject: halved")
    assert status == 0, said
    status, said = swaks(program, LISTED_BY_HALF, "--header", "Subject: offered", sender="m@shop.test")
    assert status == 0, said
    found = eventually(lambda: junk(program))
    assert "Subject: offered" in found
    assert "Subject: halved" not in found
    assert "LISTED_HALF_TEST" in found
    assert "DOMAIN_LISTED_NAMES_TEST" in found


def test_a_stranger_is_told_to_come_again_and_gets_in_then(program: Program) -> None:
    for _ in range(2):  # at once is too early
        status, said = swaks(program, STRANGER)
        assert status == 24
        assert "451 4.7.1 Greylisted: try again in some minutes" in said
    eventually(lambda: swaks(program, STRANGER)[0] == 0)
    status, said = swaks(program, "127.2.0.3", sender="other@friend.test", to=program.ready.users[1].email)
    assert status == 0, said  # the network is known by now
    status, said = swaks(program, "127.2.1.3")
    assert (status, "451 4.7.1 Greylisted: try again in some minutes" in said) == (24, True)


def test_who_brings_too_much_is_told_to_come_later(program: Program) -> None:
    tries = [swaks(program, BUSY) for _ in range(10)]
    assert {status for status, _ in tries} == {0}
    while not (tried := swaks(program, BUSY))[0]:  # what drained meanwhile lets some more in
        tries.append(tried)
        assert len(tries) < 30
    status, said = tried
    assert status == 23
    assert "451 4.7.1 Too many messages from your network; try later" in said
    assert swaks(program, CLEAN)[0] == 0  # which others do not suffer from


def test_who_guesses_addresses_is_hung_up_on(program: Program) -> None:
    guesses = ",".join(f"guess{at}@demo.postroom.test" for at in range(5))
    status, said = swaks(program, GUESSING, to=guesses)
    assert status == 6  # the connection was closed
    assert [line[:9] for line in said if line[:3] in {"550", "421"}] == ["550 5.1.1", "550 5.1.1", "421 4.7.0"]


def test_who_calls_too_often_hears_so_at_once(program: Program) -> None:
    tries = [swaks(program, CROWD, "--quit-after", "banner") for _ in range(20)]
    assert {status for status, _ in tries} == {0}
    while not (tried := swaks(program, CROWD, "--quit-after", "banner"))[0]:  # what drained meanwhile lets some more in
        tries.append(tried)
        assert len(tries) < 60
    assert tried[1] == ["421 4.7.0 Too many connections from your network; try later"]
