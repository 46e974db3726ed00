"""`postroom queue` beside a running server: what waits is listed with the reason, tried again, held back, let go, thrown away."""

from __future__ import annotations

import contextlib
import io
import json
import smtplib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from postroom.server import cli
from tests.conftest import PROGRAM_ENGINES, new_database
from tests.interop.reader import Reader
from tests.program import Program, User, running
from tests.server.served import configured, eventually, workmail
from tests.sink import Sink

PASSWORD = "Correct-Horse-7x"
MORE = '\n[domains]\nbase = "postroom.test"\nverify = false\n'


class Moody(Sink):
    """A server that takes nothing for now while it is `busy`."""

    busy = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.busy:
            return "450 4.2.1 Come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"


class House:
    """The program, one user, and where mail goes."""

    def __init__(self, program: Program, config: Path, sink: Moody) -> None:
        self.program, self.config, self.sink = program, config, sink
        client = workmail(program)
        organization = client.create_organization(Alias="shop")["OrganizationId"]
        eventually(lambda: client.describe_organization(OrganizationId=organization)["State"] == "Active")
        client.register_mail_domain(OrganizationId=organization, DomainName="shop.test")
        user = client.create_user(OrganizationId=organization, Name="alice", DisplayName="Alice", Password=PASSWORD)["UserId"]
        client.register_to_work_mail(OrganizationId=organization, EntityId=user, Email="alice@shop.test")
        self.alice = User(user, "alice@shop.test", PASSWORD)

    def send(self, subject: str, *recipients: str) -> None:
        ready = self.program.ready
        with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30) as client:
            client.login(self.alice.email, self.alice.password)
            client.sendmail(self.alice.email, list(recipients), f"From: {self.alice.email}\r\nSubject: {subject}\r\n\r\nx\r\n")

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(["queue", "--config", str(self.config), *arguments])
        return status, out.getvalue(), err.getvalue()

    def command(self, *arguments: str) -> str:
        status, out, err = self.ask(*arguments)
        assert status == 0, err
        return out

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.command("list", "--json", *arguments).splitlines()]

    def arrived(self, subject: str) -> list[str]:
        return sorted(one.recipient for one in self.sink.taken if one.subject == subject)


@pytest.fixture(scope="module", params=PROGRAM_ENGINES)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("queue")
    with new_database() if request.param == "postgresql" else nullcontext("") as dsn, Moody() as sink:
        storage = f'[storage]\nengine = "postgresql"\ndsn = "{dsn}"\n' if dsn else ""
        config = configured(folder, MORE + storage)
        config.write_text(config.read_text().replace("[mail]\n", f'[mail]\nsmarthost = "{sink.where}"\n'))
        with running(Program(["serve", "--config", str(config)], folder)) as program:
            yield House(program, config, sink)


@pytest.fixture
def busy(house: House) -> Iterator[None]:
    house.sink.busy = True
    yield
    house.sink.busy = False


def test_what_waits_is_listed_held_back_tried_again_and_let_go(house: House, busy: None) -> None:
    house.send("first", "a@far.test", "b@near.test")
    eventually(lambda: [one["reason"] for one in house.listed()] == ["450 4.2.1 Come again"] * 2)
    assert [(one["recipient"], one["state"], one["attempts"]) for one in house.listed()] == [
        ("a@far.test", "waiting", 1),
        ("b@near.test", "waiting", 1),
    ]
    assert "alice@shop.test -> a@far.test: 450 4.2.1 Come again" in house.command()
    assert [line.split()[:3] for line in house.command("destinations").splitlines()[1:]] == [["far.test", "1", "0"], ["near.test", "1", "0"]]
    assert house.command("hold", "--destination", "far.test", "--reason", "let me see") == "1 copies are held back\n"
    house.sink.busy = False
    assert house.command("retry", "--all") == "1 copies are tried now\n"
    eventually(lambda: house.arrived("first") == ["b@near.test"])
    eventually(lambda: [one["recipient"] for one in house.listed()] == ["a@far.test"])
    (held,) = house.listed("--held")
    assert (held["state"], held["reason"], held["nextAttemptAt"]) == ("held", "let me see", None)
    shown = house.command("show", str(held["id"]))
    assert "Subject: first" in shown
    assert "held by operator" in shown
    assert house.command("release", str(held["id"])) == "1 copies go\n"
    eventually(lambda: house.arrived("first") == ["a@far.test", "b@near.test"])
    eventually(lambda: house.listed() == [])


def test_what_is_thrown_away_never_leaves_and_its_author_is_told(house: House, busy: None) -> None:
    house.send("second", "a@far.test", "b@far.test")
    eventually(lambda: [one["attempts"] for one in house.listed()] == [1, 1])
    assert house.command("drop", "--recipient", "b@far.test", "--tell", "Not to them") == "1 copies are thrown away\n"
    assert house.command("drop", "--sender", "alice@shop.test") == "1 copies are thrown away\n"
    with Reader(house.program.ready, house.alice) as reader:
        told = reader.await_letter(b"Final-Recipient: rfc822; b@far.test")
    assert b"Not to them" in told
    assert b"a@far.test" not in told
    assert house.listed() == []
    house.sink.busy = False
    house.send("third", "c@far.test")
    eventually(lambda: house.arrived("third") == ["c@far.test"])
    assert house.arrived("second") == []


def test_nothing_is_done_to_all_by_mistake(house: House) -> None:
    for verb in ("retry", "hold", "release", "drop"):
        status, _, err = house.ask(verb)
        assert (status, "Say which" in err) == (1, True)
    status, _, err = house.ask("show", "999999")
    assert (status, "999999" in err) == (1, True)
