"""Fixtures that every room's tests build on: a store on each engine, an organization, a clock."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from postroom.directory import domains
from postroom.model import ids
from postroom.model.organizations import Organization
from postroom.storage import keys, sqlite
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import access_rules, device_rules, organizations

# A busy machine must not fail a property: no examples by the clock.
hypothesis_settings.register_profile("postroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("postroom")

POSTGRES = ("127.0.0.1", 5432)
POSTGRES_DSN = os.environ.get("POSTROOM_TEST_POSTGRES", "host=127.0.0.1 port=5432 user=postgres dbname=postgres")


def postgres_answers() -> bool:
    """Tell whether a PostgreSQL listens where the tests look for one."""
    try:
        socket.create_connection(POSTGRES, timeout=0.5).close()
    except OSError:
        return False
    return True


ENGINES = ["sqlite", "postgresql"] if postgres_answers() else ["sqlite"]
THOROUGH = os.environ.get("POSTROOM_TEST_THOROUGH") == "1"
"""Whether tests of whole programs run on every engine, and those that repeat do so as often as they can (`make test-thorough`)."""
PROGRAM_ENGINES = ENGINES if THOROUGH else ENGINES[:1]
"""The engines under whole programs; the rules below them are tried on every engine in any case."""


def pytest_report_header() -> list[str]:
    """Say on which engines the suite runs."""
    missing = "" if len(ENGINES) == 2 else " (no PostgreSQL on 127.0.0.1:5432: its half of the suite is not run)"
    return [f"storage engines: {', '.join(ENGINES)}{missing}"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end, too, when PostgreSQL was missing."""
    if len(ENGINES) == 1:
        terminalreporter.write_line("PostgreSQL was not running: tested on SQLite alone.")


@dataclass
class Clock:
    """A clock that stands still until it is advanced; epoch seconds."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """The time that the store sees."""
    return Clock()


@contextmanager
def new_database() -> Iterator[str]:
    """Make a database and drop it at the end; gives how to reach it."""
    import psycopg

    name = f"postroom_test_{secrets.token_hex(6)}"
    with psycopg.connect(POSTGRES_DSN, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield POSTGRES_DSN.replace("dbname=postgres", f"dbname={name}")
    finally:
        with psycopg.connect(POSTGRES_DSN, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """A database of this test process, dropped at the end."""
    with new_database() as dsn:
        yield dsn


@pytest.fixture
def postgres_dsn(postgres_database: str) -> str:
    """A database without rows."""
    import psycopg

    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name <> 'migrations'"
        ).fetchall()
        connection.execute("".join(f"DELETE FROM {table};" for (table,) in tables).encode())
    return postgres_database


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store on each engine that is there."""
    keyring = keys.LocalKeyring(tmp_path / "keyring.json")
    if request.param == "sqlite":
        opened = sqlite.open_store(tmp_path / "data", keyring, clock)
    else:
        from postroom.storage import postgres

        opened = postgres.open_store(request.getfixturevalue("postgres_dsn"), tmp_path / "data", keyring, clock)
    yield opened
    opened.close()


@pytest.fixture
def neighbour(store: Store, tmp_path: Path, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Store]:
    """The same data, as a command opens them beside the server."""
    keyring = keys.LocalKeyring(tmp_path / "keyring.json")
    if store.engine == "sqlite":
        opened = sqlite.open_store(tmp_path / "data", keyring, clock)
    else:
        from postroom.storage import postgres

        opened = postgres.open_store(request.getfixturevalue("postgres_database"), tmp_path / "data", keyring, clock)
    yield opened
    opened.close()


def make_organization(store: Store, *, number: int = 1, alias: str = "example") -> Organization:
    """Make an active organization with the verified domain `<alias>.test` and its test domain."""
    organization = Organization(
        number,
        ids.new_organization_id(),
        alias,
        "Active",
        ids.new_directory_id(),
        "VpcDirectory",
        f"{alias}.test",
        None,
        store.now(),
        store.now(),
    )
    key = store.keys.new_data_key(None)
    test_domain = f"{alias}.postroom.test"
    with store.transaction(REGISTRY) as tx:
        tx.run(
            "INSERT INTO organizations (organization, number, id, alias, state, directory_id, directory_type,"
            " default_domain, wrapped_key, created_at, completed_at) VALUES (:organization, :number, :id, :alias,"
            " 'Active', :directory_id, 'VpcDirectory', :default_domain, :wrapped_key, :at, :at)",
            number=number,
            id=organization.id,
            alias=alias,
            directory_id=organization.directory_id,
            default_domain=organization.default_domain,
            wrapped_key=key.wrapped,
            at=store.now(),
        )
        for domain in (f"{alias}.test", test_domain):
            organizations.insert_claim(tx, domain, number, verified=True)
    with store.transaction(number) as tx:
        domains.create_test_domain(tx, test_domain)
        access_rules.insert_default(tx)
        device_rules.insert_default(tx)
        domains.register(tx, f"{alias}.test")
        domains.set_verification(tx, f"{alias}.test", ownership="VERIFIED", dkim="VERIFIED")
    return organization


@pytest.fixture
def organization(store: Store) -> Organization:
    """An active organization, `example`."""
    return make_organization(store)
