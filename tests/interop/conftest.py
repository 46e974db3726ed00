"""One running program on each engine for all of these tests, and a fresh person for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from tests.conftest import PROGRAM_ENGINES, new_database
from tests.program import Program, Ready, User, demo, hire, running

_numbers = itertools.count(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.parent == item.config.rootpath / "tests" / "interop":
            item.add_marker(pytest.mark.interop)


@pytest.fixture(scope="session", params=PROGRAM_ENGINES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run the demo on each engine that is there."""
    database = new_database() if request.param == "postgresql" else nullcontext("")
    with database as dsn, running(demo(tmp_path_factory.mktemp("program"), dsn=dsn)) as program:
        yield program


@pytest.fixture
def ready(program: Program) -> Ready:
    """Say where the program listens."""
    return program.ready


@pytest.fixture
def hired(ready: Ready) -> Callable[[], User]:
    """Return a maker of people nobody has written to yet."""
    return lambda: hire(ready, f"user{next(_numbers)}")


@pytest.fixture
def user(hired: Callable[[], User]) -> User:
    """Add one such person."""
    return hired()
