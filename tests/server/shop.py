"""A served program with an organization whose mail for others ends in a sink, and one of its commands beside it."""

from __future__ import annotations

import contextlib
import io
import smtplib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from postroom.server import cli
from tests.conftest import new_database
from tests.program import Program, User, running
from tests.server.served import configured, eventually, workmail
from tests.sink import Sink

PASSWORD = "Correct-Horse-7x"
MORE = '\n[domains]\nbase = "postroom.test"\nverify = false\n'


class Shop:
    """The program, people of shop.test, where their mail goes, and the `verb` that is asked."""

    def __init__(self, program: Program, config: Path, sink: Sink, verb: str, names: tuple[str, ...]) -> None:
        self.program, self.config, self.sink, self.verb = program, config, sink, verb
        self.client = workmail(program)
        self.organization = self.client.create_organization(Alias="shop")["OrganizationId"]
        eventually(lambda: self.client.describe_organization(OrganizationId=self.organization)["State"] == "Active")
        self.client.register_mail_domain(OrganizationId=self.organization, DomainName="shop.test")
        self.people = {name: self.hire(name) for name in names}

    def hire(self, name: str) -> User:
        known: dict[str, Any] = {"OrganizationId": self.organization}
        user = self.client.create_user(**known, Name=f"{name}-1", DisplayName=name, Password=PASSWORD)["UserId"]
        self.client.register_to_work_mail(**known, EntityId=user, Email=f"{name}@shop.test")
        return User(user, f"{name}@shop.test", PASSWORD)

    def send(self, name: str, subject: str, *recipients: str) -> None:
        """Have somebody send a letter as any program does; raises what smtplib raises when anything but 250 comes."""
        user, ready = self.people[name], self.program.ready
        with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=30) as client:
            client.login(user.email, user.password)
            refused = client.sendmail(user.email, list(recipients), f"From: {user.email}\r\nSubject: {subject}\r\n\r\nx\r\n")
        assert refused == {}

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command, in this process beside the server; give its status and what it says."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main([self.verb, "--config", str(self.config), *arguments])
        return status, out.getvalue(), err.getvalue()

    def command(self, *arguments: str) -> str:
        status, out, err = self.ask(*arguments)
        assert status == 0, err
        return out

    def lines(self, *arguments: str) -> list[str]:
        return self.command(*arguments).splitlines()

    def arrived(self, subject: str) -> list[str]:
        return sorted(one.recipient for one in self.sink.taken if one.subject == subject)


@contextlib.contextmanager
def opened(folder: Path, engine: str, sink: Sink, verb: str, *names: str, more: str = "") -> Iterator[Shop]:
    """Serve one on an engine; `more` are tables of the configuration."""
    with new_database() if engine == "postgresql" else nullcontext("") as dsn, sink:
        storage = f'[storage]\nengine = "postgresql"\ndsn = "{dsn}"\n' if dsn else ""
        config = configured(folder, more + MORE + storage)
        config.write_text(config.read_text().replace("[mail]\n", f'[mail]\nsmarthost = "{sink.where}"\n'))
        with running(Program(["serve", "--config", str(config)], folder)) as program:
            yield Shop(program, config, sink, verb, names)
