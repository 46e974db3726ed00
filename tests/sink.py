"""Somebody else's server that takes everything and keeps it: where mail of the program under test arrives when it leaves."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass(frozen=True)
class Taken:
    """One letter for one recipient."""

    sender: str
    recipient: str
    raw: bytes

    @property
    def letter(self) -> EmailMessage:
        """The letter read."""
        read = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        return read

    @property
    def subject(self) -> str:
        """Its subject."""
        return str(self.letter["Subject"])


class Sink:
    """A server on a free port of the loopback, in a thread of its own; a context manager."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self._loop = asyncio.new_event_loop()
        making = self._loop.create_server(lambda: SMTP(self, data_size_limit=0, loop=self._loop, enable_SMTPUTF8=True), "127.0.0.1", 0)
        self._server = self._loop.run_until_complete(making)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def where(self) -> str:
        """The address as a configuration has it."""
        return f"127.0.0.1:{self.port}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken += [Taken((envelope.mail_from or "").strip("<>"), recipient, envelope.original_content) for recipient in envelope.rcpt_tos]
        return "250 2.0.0 taken"

    def await_one(self, wanted: Callable[[Taken], bool], seconds: float = 30.0) -> Taken:
        """Return the first letter of a kind."""
        end = time.monotonic() + seconds
        while True:
            for one in list(self.taken):
                if wanted(one):
                    return one
            assert time.monotonic() < end, [(one.sender, one.recipient, one.subject) for one in self.taken]
            time.sleep(0.02)

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._server.close()
