"""The program as an outsider meets it: one process, one ready file, signals.

Nothing here imports Postroom.  `POSTROOM_COMMAND` names another program that answers to the same command line and writes
the same ready file, so that the tests that use this can be held against other servers too.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

COMMAND = shlex.split(os.environ.get("POSTROOM_COMMAND", "")) or [sys.executable, "-m", "postroom"]
START_SECONDS = 60.0
STOP_SECONDS = 10.0

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class User:
    """One person of the demo organization."""

    id: str
    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Ready:
    """What the ready file says."""

    api: str
    region: str
    ca_file: str
    smtp: Endpoint
    submission: Endpoint
    submissions: Endpoint
    imap: Endpoint
    imaps: Endpoint
    managesieve: Endpoint = ("", 0)
    access_key_id: str = ""
    secret_access_key: str = ""
    organization_id: str = ""
    domain: str = ""
    users: tuple[User, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Ready:
        """Read a ready file; fields this class does not know are left out."""
        values: dict[str, Any] = json.loads(path.read_text())
        known = {name: values[name] for name in cls.__slots__ if values.get(name) is not None}
        for name in ("smtp", "submission", "submissions", "imap", "imaps"):
            host, port = known[name]
            known[name] = (str(host), int(port))
        if "managesieve" in known:
            known["managesieve"] = (str(known["managesieve"][0]), int(known["managesieve"][1]))
        known["users"] = tuple(User(user["id"], user["email"], user["password"]) for user in known.get("users", ()))
        return cls(**known)

    def tls(self) -> ssl.SSLContext:
        """Return a client's TLS settings that trust only the program's own CA."""
        return ssl.create_default_context(cafile=self.ca_file)

    def session(self) -> boto3.Session:
        """Return a boto3 session with the administrator's key."""
        return boto3.Session(self.access_key_id, self.secret_access_key, region_name=self.region)

    def workmail(self, **settings: Any) -> Any:
        """Return a plain boto3 client, pointed at the program."""
        config = Config(retries={"max_attempts": 0, "mode": "standard"}, connect_timeout=10, read_timeout=60, **settings)
        verify = self.ca_file if self.api.startswith("https") else None
        return self.session().client("workmail", endpoint_url=self.api, verify=verify, config=config)


class Program:
    """A running program."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        """Start it, and wait until every listener accepts; its output goes to FOLDER/log."""
        folder.mkdir(parents=True, exist_ok=True)
        self.arguments = [*COMMAND, *arguments, "--ready-file", str(folder / "ready.json")]
        self.folder = folder
        self.log = folder / "log"
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        (self.folder / "ready.json").unlink(missing_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def await_ready(self) -> Ready:
        """Return what the ready file says, once it is there."""
        end = time.monotonic() + START_SECONDS
        try:
            while time.monotonic() < end:
                assert self.alive(), f"the program ended with {self.process.returncode}:\n{self.tail()}"
                with suppress(FileNotFoundError, json.JSONDecodeError):
                    self.ready = Ready.read(self.folder / "ready.json")
                    return self.ready
                time.sleep(0.02)
            raise AssertionError(f"no ready file after {START_SECONDS:.0f} s:\n{self.tail()}")
        except BaseException:
            self.kill()
            raise

    def tail(self, size: int = 6000) -> str:
        """Return the end of the log."""
        return self.log.read_bytes()[-size:].decode(errors="replace")

    def stop(self) -> float:
        """Ask it to end, check that it exits with 0; return the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            tail = self.tail()
            self.kill()
            raise AssertionError(f"still running {STOP_SECONDS:.0f} s after SIGTERM:\n{tail}") from None
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.tail()}"
        return time.monotonic() - started

    def kill(self) -> None:
        """End it, and whatever it started, at once and without a word."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def alive(self) -> bool:
        """Say whether it still runs."""
        return self.process.poll() is None

    def resident(self) -> int:
        """Return its resident memory now, in bytes."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return the most resident memory it ever had, in bytes."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name} for process {self.process.pid}")


OF_THE_DEMO = """\
data = "."
{more}
[smtp]
listen = ["127.0.0.1:2525"]
postmaster = "alice@demo.postroom.test"
[submission]
listen = ["127.0.0.1:2587"]
listen_tls = ["127.0.0.1:2465"]
postmaster = "alice@demo.postroom.test"
{submission}
[imap]
listen = ["127.0.0.1:2143"]
listen_tls = ["127.0.0.1:2993"]
[mail]
hostname = "postroom.localhost"
[domains]
verify = false
"""
"""The demo's configuration, with what a test sets beside it; and it logs as a server does."""
IN_A_DATABASE = '[storage]\nengine = "postgresql"\ndsn = "{dsn}"\n'


def demo(
    folder: Path, *, smarthost: str = "127.0.0.1:1", nameserver: str = "", dsn: str = "", more: str = "", submission: str = ""
) -> Program:
    """Start the demo with its data in FOLDER/data, or in a PostgreSQL, on free ports; mail going out goes nowhere unless told.

    `more` are tables of the configuration, `submission` settings of that one.
    """
    if dsn or more or submission:
        tables = (IN_A_DATABASE.format(dsn=dsn) if dsn else "") + more
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "postroom.toml").write_text(OF_THE_DEMO.format(more=tables, submission=submission))
    arguments = ["demo", "--data", str(folder / "data"), "--any-ports"]
    arguments += ["--smarthost", smarthost] if smarthost else []
    arguments += ["--nameserver", nameserver] if nameserver else []
    return Program(arguments, folder)


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """Stop the program at the end of the block: in order if the block went well, at once if not."""
    try:
        yield program
        if program.alive():
            program.stop()
    finally:
        if program.alive():
            program.kill()


def connect(endpoint: Endpoint, timeout: float = 10.0) -> socket.socket:
    """Open a plain connection."""
    return socket.create_connection(endpoint, timeout)


def hire(ready: Ready, name: str, domain: str = "") -> User:
    """Add somebody with a mailbox to the organization; without an API (another server) take one of those it has, by name."""
    if not ready.organization_id:
        return next(user for user in ready.users if user.id == name or user.email.startswith(name + "@"))
    password = "Correct-Horse-7x"
    email = f"{name}@{domain or ready.domain}"
    workmail = ready.workmail()
    user = workmail.create_user(OrganizationId=ready.organization_id, Name=name, DisplayName=name.title(), Password=password)["UserId"]
    workmail.register_to_work_mail(OrganizationId=ready.organization_id, EntityId=user, Email=email)
    return User(user, email, password)
