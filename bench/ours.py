"""Postroom as a black box: the demo server as a subprocess, known only through its ready file."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import http_load, programs, signature

PASSWORD = "Bench-mark-4711"


@dataclass(frozen=True, slots=True)
class Postroom:
    """A running server: its ready file and its process."""

    ready: dict[str, Any]
    process: int

    @property
    def target(self) -> http_load.Target:
        """Where the administration API listens."""
        url = urllib.parse.urlsplit(self.ready["api"])
        return http_load.Target((url.hostname or "127.0.0.1", url.port or 80), url.scheme == "https")

    @property
    def signer(self) -> signature.Signer:
        """The administrator's key."""
        host = urllib.parse.urlsplit(self.ready["api"]).netloc
        return signature.Signer(host, "workmail", self.ready["access_key_id"], self.ready["secret_access_key"], self.ready["region"])

    def address(self, listener: str) -> programs.Address:
        """Give a listener's address: smtp, imap, imaps."""
        host, port = self.ready[listener]
        return host, int(port)

    def call(self, operation: str, parameters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Call an operation once for each set of parameters (not timed); OrganizationId is filled in."""
        requests = [self.request(operation, **each) for each in parameters]
        return [json.loads(body or b"{}") for body in http_load.each(self.target, requests)]

    def request(self, operation: str, *, shift: int = 0, **parameters: Any) -> bytes:
        """Sign a call ahead."""
        return self.signer.workmail(operation, {"OrganizationId": self.ready["organization_id"], **parameters}, shift=shift)

    def add_users(self, prefix: str, count: int, *, password: str = PASSWORD) -> list[dict[str, str]]:
        """Make users with mailboxes; give their UserId and Email."""
        names = [f"{prefix}{number:04d}" for number in range(count)]
        made = self.call("CreateUser", [{"Name": name, "DisplayName": name.title(), "Password": password} for name in names])
        emails = [f"{name}@{self.ready['domain']}" for name in names]
        users = [{"UserId": user["UserId"], "Email": email} for user, email in zip(made, emails, strict=True)]
        self.call("RegisterToWorkMail", [{"EntityId": user["UserId"], "Email": user["Email"]} for user in users])
        return users


def data_folder(folder: Path) -> Path:
    """Give the folder of the server's own files."""
    return folder / "data"


@contextlib.contextmanager
def running(folder: Path, settings: str = "") -> Iterator[Postroom]:
    """Run `postroom demo` with its data in `folder`; stop it at the end. `settings` are tables in the place of the demo's own."""
    folder.mkdir(parents=True, exist_ok=True)
    if settings:
        data_folder(folder).mkdir()
        (data_folder(folder) / "postroom.toml").write_text(f'data = "."\n{settings}')
    ready, log = folder / "ready.json", folder / "postroom.log"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "postroom", "demo", "--any-ports", "--data", str(data_folder(folder)), "--ready-file", str(ready)]
    process = programs.start(command, log)
    try:
        deadline = time.monotonic() + 60.0
        while not ready.exists() or not ready.read_text().strip():
            if process.poll() is not None or time.monotonic() > deadline:
                raise programs.BenchError(f"postroom did not become ready\n{programs.tail(log)}")
            time.sleep(0.05)
        yield Postroom(json.loads(ready.read_text()), process.pid)
    finally:
        programs.stop(process)
