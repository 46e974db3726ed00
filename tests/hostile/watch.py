"""A bystander who keeps sending, reading and administering, and a scale under the program.

Attackers come from 127.0.0.2, so what is held against their address does not meet the bystander at 127.0.0.1.
"""

from __future__ import annotations

import imaplib
import smtplib
import statistics
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tests.program import Program, Ready, User

ATTACKER = ("127.0.0.2", 0)
MEMORY = 300 * 1024 * 1024
SLOWEST = 10.0
"""Seconds that the slowest service may take while an attack goes on; two cores do the attacking and the serving."""
USUAL = 1.5
"""Seconds for the median, where there are enough to speak of one."""
ENOUGH = 10


class Watch:
    """Three threads of services and one of measuring; a context manager that complains at its end."""

    def __init__(self, program: Program, user: User) -> None:
        self.program = program
        self.user = user
        self.seconds: dict[str, list[float]] = {"smtp": [], "imap": [], "api": []}
        self.failures: list[str] = []
        self.most = 0
        self._over = threading.Event()
        services: list[tuple[str, Callable[[Ready], Callable[[], None]]]] = [("smtp", self._smtp), ("imap", self._imap)]
        if program.ready.organization_id:
            services.append(("api", self._api))
        self._threads = [threading.Thread(target=self._serve, args=service, daemon=True) for service in services]
        self._threads.append(threading.Thread(target=self._weigh, daemon=True))

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.wait(0.3)
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        if kind is None:
            self.complain()

    def complain(self) -> None:
        """Check that everybody was served and that the program stayed small."""
        figures = ", ".join(
            f"{name} {len(took)} times, median {statistics.median(took):.2f} s, slowest {max(took):.2f} s"
            for name, took in self.seconds.items()
            if took
        )
        print(f"at most {self.most / 2**20:.0f} MiB; {figures}")
        assert self.program.alive(), self.program.tail()
        assert not self.failures, self.failures
        for name, took in self.seconds.items():
            assert took or name == "api", f"nobody was served over {name}"
            if took:
                assert max(took) < SLOWEST, (name, figures)
                assert len(took) < ENOUGH or statistics.median(took) < USUAL, (name, figures)
        assert self.most < MEMORY, f"{self.most / 2**20:.0f} MiB resident"

    def _weigh(self) -> None:
        while not self._over.is_set() and self.program.alive():
            self.most = max(self.most, self.program.resident())
            self._over.wait(0.02)

    def _serve(self, name: str, prepare: Callable[[Ready], Callable[[], None]]) -> None:
        try:
            serve = prepare(self.program.ready)
            while not self._over.is_set():
                began = time.monotonic()
                serve()
                self.seconds[name].append(time.monotonic() - began)
                self._over.wait(0.1)
        except Exception as failure:
            self.failures.append(f"{name}: {failure!r}")

    def _smtp(self, ready: Ready) -> Callable[[], None]:
        text = f"From: friend@stranger.test\r\nTo: {self.user.email}\r\nSubject: daily\r\n\r\nAs every day.\r\n".encode()

        def send() -> None:
            with smtplib.SMTP(*ready.smtp, timeout=30) as smtp:
                smtp.sendmail("friend@stranger.test", [self.user.email], text)

        return send

    def _imap(self, ready: Ready) -> Callable[[], None]:
        def read() -> None:
            imap = imaplib.IMAP4_SSL(*ready.imaps, ssl_context=ready.tls(), timeout=30)
            imap.login(self.user.email, self.user.password)
            imap.select("Drafts")
            assert imap.append("Drafts", None, None, b"Subject: note\r\n\r\nto self\r\n")[0] == "OK"
            assert imap.fetch("1", "(ENVELOPE BODY.PEEK[])")[0] == "OK"
            imap.logout()

        return read

    def _api(self, ready: Ready) -> Callable[[], None]:
        workmail: Any = ready.workmail()
        return lambda: workmail.list_users(OrganizationId=ready.organization_id)
