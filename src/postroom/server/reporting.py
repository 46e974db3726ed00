"""What reports need of the world: DNS as text, web servers that take reports of TLS, and the writing down of what was counted in memory."""

import asyncio
import contextlib
import http.client
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import structlog

from postroom.jobs import reports
from postroom.jobs.reports import NotPosted, Outside
from postroom.mailflow.outbound.tls_outcome import Sink, ignore
from postroom.mailflow.reports import tls_tally
from postroom.mailflow.reports.tls_tally import Tally
from postroom.mailflow.resolver import NoAnswer
from postroom.server import pinned
from postroom.server.dns import lookups
from postroom.server.dns.lookups import Lookups
from postroom.server.pinned import Pinned, Unreachable
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store

POST_SECONDS = 30.0
"""How long a web server may take for a report."""
WRITE_SECONDS = 60.0
"""How long counts stay in memory alone."""
PAGE = 500
"""Counts that are written in one transaction."""
ANSWER_BYTES = 4096
log = structlog.get_logger("postroom.server")


def work(settings: Settings) -> Callable[[Store, int], int]:
    """Give the work of sending an organization's reports."""
    asked = Lookups(settings.dns.nameservers)
    return reports.send(settings.reports, Outside(texts(asked), Poster(asked)))


def texts(asked: Lookups) -> Callable[[str], Sequence[str]]:
    """Give the question for TXT records, as reports ask it."""

    def records(name: str) -> Sequence[str]:
        try:
            return asked.records(name, "TXT")
        except (lookups.NoAnswer, UnicodeError) as error:
            raise NoAnswer(str(error)) from None

    return records


class Poster:
    """Posts packed reports of TLS (RFC 8460 §5.4). No redirect is followed, and nothing of an answer is shown."""

    def __init__(self, asked: Lookups, *, private: bool = False, tls: ssl.SSLContext | None = None, seconds: float = POST_SECONDS) -> None:
        self._lookups = asked
        self._private = private
        self._tls = tls or ssl.create_default_context()
        self._seconds = seconds

    def __call__(self, url: str, report: bytes) -> None:
        """Post one; raises `NotPosted`."""
        headers = {"Content-Type": "application/tlsrpt+gzip", "User-Agent": "Postroom"}
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            address = pinned.address_of(host, self._lookups, private=self._private)
            connection = Pinned(host, parts.port or 443, address, self._tls, self._seconds)
            with pinned.until(connection, self._seconds):
                connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), report, headers)
                answer = connection.getresponse()
                answer.read(ANSWER_BYTES)
        except Unreachable as error:
            raise NotPosted(str(error)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotPosted(pinned.reason(error)) from error
        if not 200 <= answer.status < 300:
            raise NotPosted(f"the answer is {answer.status}")


class Ledger:
    """Writes down every minute what was counted of connections to other servers."""

    def __init__(self, store: Store, *, wanted: bool = True) -> None:
        self._store = store
        self._wanted = wanted
        self._tally = Tally()
        self._task: asyncio.Task[None] | None = None

    @property
    def sink(self) -> Sink:
        """What counts an outcome."""
        return self._tally if self._wanted else ignore

    def start(self) -> None:
        """Begin."""
        if self._wanted:
            self._task = asyncio.create_task(self._run(), name="tls-outcomes")

    async def close(self) -> None:
        """End, and write what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    async def flush(self) -> None:
        """Write what was counted; what cannot be written waits for the next time."""
        batch = self._tally.take()
        for at in range(0, len(batch), PAGE):
            try:
                await self._store.transact(REGISTRY, tls_tally.write, batch[at : at + PAGE])
            except Exception:
                log.warning("tls_outcomes_not_written", exc_info=True)
                self._tally.put_back(batch[at:])
                return

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.flush()
