"""Killed while hooks are being called: every letter that was acknowledged is called about, and delivered once."""

from __future__ import annotations

import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROGRAM_ENGINES, new_database, postgres_answers
from tests.crash import letters
from tests.hook_server import SECRET, Hook, Reply, answer, hook_server
from tests.interop.reader import Reader
from tests.program import Program, User, running
from tests.server.served import configured, eventually, postroom, workmail

SETTINGS = """
[domains]
verify = false
[hooks.scan]
url = "{url}"
secret = "{secret}"
[organizations.lab.inbound.scan]
action = "run-lambda"
hook = "scan"
wait = true
minutes = 60
{more}
"""
LETTERS = 6

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@pytest.fixture(params=PROGRAM_ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """What `[storage]` says."""
    with ExitStack() as stack:
        if request.param == "postgresql":
            if not postgres_answers():
                pytest.skip("no PostgreSQL")
            dsn = stack.enter_context(new_database())
            yield f'[storage]\nengine = "postgresql"\ndsn = "{dsn}"'
        else:
            yield ""


def hire(program: Program) -> User:
    client = workmail(program)
    organization = client.create_organization(Alias="lab")["OrganizationId"]
    made = client.create_user(OrganizationId=organization, Name="ann", DisplayName="ann", Password="Correct-Horse-7x")["UserId"]
    client.register_to_work_mail(OrganizationId=organization, EntityId=made, Email="ann@lab.postroom.test")
    return User(made, "ann@lab.postroom.test", "Correct-Horse-7x")


def arrive(program: Program, name: str) -> None:
    with smtplib.SMTP(*program.ready.smtp, timeout=20) as smtp:
        smtp.sendmail("bob@far.test", ["ann@lab.postroom.test"], letters.letter(name, 900))


def read(program: Program, user: User) -> Counter[str | None]:
    with Reader(program.ready, user) as reader:
        return Counter(letters.read(raw) for raw in reader.letters().values())


def test_a_kill_between_acceptance_and_answer_costs_a_call_at_most(tmp_path: Path, engine: str) -> None:
    going = threading.Event()

    def reply(event: dict[str, Any]) -> Reply:
        going.wait(60)
        return answer(("DEFAULT", None))

    with hook_server() as hook:
        config = configured(tmp_path, SETTINGS.format(url=hook.url, secret=SECRET, more=engine))
        hook.reply = reply
        with running(Program(["serve", "--config", str(config)], tmp_path)) as program:
            user = hire(program)
            program.kill()
            restart(program)
            names = [f"letter-{number}" for number in range(LETTERS)]
            for name in names[:-1]:
                arrive(program, name)
            eventually(lambda: len(hook.events) >= 3)
            program.kill()  # some are being called about, some wait
            restart(program)
            arrive(program, names[-1])
            assert read(program, user) == {}
            before = len(hook.events)
            going.set()
            for _ in range(3):
                time.sleep(0.3)
                program.kill()  # some have been answered, some delivered
                restart(program)
            eventually(lambda: len(read(program, user)) == LETTERS, 120)
            assert read(program, user) == dict.fromkeys(names, 1)
            assert postroom(config, "flow", "waiting").stdout == ""
            assert program.stop() < 5
    assert_same_ids(hook, before)


def restart(program: Program) -> None:
    program.launch()
    program.await_ready()


def assert_same_ids(hook: Hook, before: int) -> None:
    """A call that is made again bears the ids of the first."""
    calls = {(event["messageId"], event["invocationId"], event["subject"]) for event in hook.events}
    assert len(calls) == LETTERS
    assert len(hook.events) > before >= 3
    assert hook.forged == 0
