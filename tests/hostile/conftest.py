"""One running program that all of these tests attack, and somebody who goes on using it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.watch import MEMORY, Watch
from tests.program import Program, Ready, User, demo, hire, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.parent == item.config.rootpath / "tests" / "hostile":
            item.add_marker(pytest.mark.hostile)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run the demo; after all the attacks it still ends in order."""
    with running(demo(tmp_path_factory.mktemp("hostile"))) as program:
        yield program


@pytest.fixture
def ready(program: Program) -> Ready:
    """Say where the program listens."""
    return program.ready


@pytest.fixture(scope="session")
def bystander(program: Program) -> User:
    """Add somebody who has nothing to do with it."""
    return hire(program.ready, "user1")


@pytest.fixture(scope="session")
def victim(program: Program) -> User:
    """Add somebody whose mailbox and password the attacker has."""
    return hire(program.ready, "user2")


@pytest.fixture
def watch(program: Program, bystander: User) -> Iterator[Watch]:
    """Look after the bystander and the program's memory during the test, and complain at its end.

    What an earlier test has blown up starts afresh, so that it is one test that fails.
    """
    if not program.alive() or program.resident() > MEMORY * 2 // 3:
        program.kill()
        program.launch()
        program.await_ready()
    with Watch(program, bystander) as watch:
        yield watch
