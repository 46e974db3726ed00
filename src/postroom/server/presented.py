"""What this server presents in TLS: a certificate for every name it is called by, read again while it runs.

All doors share one context. A client that names the server it wants (SNI, RFC 6066 §3) is shown the certificate of that name, exact before
wildcard; whoever names none, or one that nothing is known of, is shown the default. Connections that are open keep theirs. Files are read
on threads alone, each pair once for each change of its files; the event loop only puts what has been read in the place of what was.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from postroom.server import certificates
from postroom.server.certificates import Files

WATCH_SECONDS = 60.0
MOST_PAIRS = 10_000
DAY = 86_400.0
CERTIFICATE, KEY = "fullchain.pem", "privkey.pem"
"""What the pair in each subfolder is called; ACME clients name theirs so."""
log = structlog.get_logger("postroom.server")

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of the default, and of names in lower case; `*.example.com` stands for every name one label longer."""

    default: Files
    named: Mapping[str, Files] = field(default_factory=dict)

    def pairs(self) -> list[Files]:
        """List all pairs, each once, the default first."""
        return list(dict.fromkeys((self.default, *self.named.values())))


@dataclass(frozen=True, slots=True)
class Read:
    """A pair as it has been read: when its files changed, what shows it, its first name and its end, in epoch seconds."""

    stamp: Stamp
    context: ssl.SSLContext
    name: str
    ends: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of a folder: when its files changed, the names in its certificate; `reason` says why it cannot be used."""

    stamp: Stamp
    names: list[str]
    reason: str = ""


class Lifetimes(Collector):
    """The metric of how long certificates last, as of when it is asked for; of several with one first name, the shortest."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the days until each certificate ends."""
        text = "Days until a certificate ends that clients are shown, by the first of its names."
        family, now = GaugeMetricFamily("postroom_certificate_days", text, labels=["name"]), time.time()
        for name, ends in self.ends.items():
            family.add_metric([name], round((ends - now) / DAY, 3))
        yield family


LIFETIMES = Lifetimes()
REGISTRY.register(LIFETIMES)


class Unreadable(Exception):
    """A pair of files cannot be used; the text says which and why."""


class Presented:
    """The one context of all doors, and what it shows."""

    def __init__(self, choose: Callable[[], Choice]) -> None:
        """Read what `choose` names; raises Unreadable."""
        self._choose = choose
        choice = choose()
        self._tried = _state(choice)
        self._told = ""
        self._turn = asyncio.Lock()
        self._put(choice, _read(choice, {}))
        self.context = self.door()

    def door(self) -> ssl.SSLContext:
        """Make a context that shows what all doors show; raises Unreadable."""
        made = _made(self._choice.default)
        made.sni_callback = self.show
        return made

    @property
    def default(self) -> Files:
        """Give the files of the default."""
        return self._choice.default

    def show(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Switch a handshake to the certificate of the name that was asked for, or to the default."""
        asked = (name or "").lower().rstrip(".")
        connection.context = self._named.get(asked) or self._named.get("*." + asked.partition(".")[2]) or self._default

    async def reload(self) -> None:
        """Read everything again, changed or not; what cannot be used is logged and the old stays."""
        await self.look(again=True)

    async def look(self, *, again: bool = False) -> None:
        """Read what has changed since the last attempt, if a file has, or a pair has come or gone; or everything again."""
        async with self._turn:
            self._told = "" if again else self._told
            try:
                choice = await asyncio.to_thread(self._choose)
                state = await asyncio.to_thread(_state, choice)
                if again or state != self._tried:
                    self._tried = state
                    self._take(choice, await asyncio.to_thread(_read, choice, {} if again else self._read))
                self._told = ""
            except (Unreadable, OSError, ValueError) as error:
                self._tell(str(error))

    async def watch(self) -> None:
        """Look once a minute, for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("certificate_not_reloaded")

    def _take(self, choice: Choice, read: dict[Files, Read]) -> None:
        """Show what was read from now on, and of a pair that cannot be used any more what was before."""
        pairs = set(choice.named.values())
        kept = {name: files for name, files in self._choice.named.items() if files not in pairs and files.key.exists()}
        self._put(Choice(choice.default, kept | dict(choice.named)), {files: self._read[files] for files in kept.values()} | read)
        log.info("certificate_reloaded", names=len(choice.named))

    def _put(self, choice: Choice, read: Mapping[Files, Read]) -> None:
        self._choice, self._read = choice, read
        self._named = {name: read[files].context for name, files in choice.named.items()}
        self._default = read[choice.default].context
        shortest = sorted(read.values(), key=lambda pair: -pair.ends)
        LIFETIMES.ends = {pair.name: pair.ends for pair in shortest}

    def _tell(self, reason: str) -> None:
        """Log once what cannot be used, not at every look."""
        if reason != self._told:
            self._told = reason
            log.error("certificate_not_reloaded", reason=reason)


class PairFolder:
    """A folder whose subfolders hold a pair each, for all names in its certificate; it remembers what it has read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, Pair] = {}

    @property
    def skipped(self) -> list[tuple[Path, str]]:
        """List the subfolders whose pair could not be used when it was looked last, and why."""
        return [(path, pair.reason) for path, pair in self._known.items() if pair.reason]

    def pairs(self) -> Iterator[tuple[str, Files]]:
        """Find the names and pairs; one that cannot be used is skipped, and logged once for each change of it. Raises Unreadable."""
        try:
            found = sorted(path for path in self._folder.iterdir() if (path / CERTIFICATE).exists() and (path / KEY).exists())
        except OSError as error:
            raise Unreadable(f"{self._folder}: {error.strerror}") from None
        self._known = {path: self._look(path) for path in found[:MOST_PAIRS]}
        for path, pair in self._known.items():
            yield from ((name, Files(path / CERTIFICATE, path / KEY)) for name in pair.names)

    def _look(self, path: Path) -> Pair:
        files = Files(path / CERTIFICATE, path / KEY)
        stamp = _stamp(files)
        known = self._known.get(path)
        if known is not None and known.stamp == stamp:
            return known
        try:
            _made(files)
            return Pair(stamp, certificates.names(files.certificate))
        except (Unreadable, OSError, ValueError) as error:
            log.warning("certificate_skipped", folder=str(path), reason=str(error))
            return Pair(stamp, [], str(error))


def _read(choice: Choice, known: Mapping[Files, Read]) -> dict[Files, Read]:
    """Read each pair whose files have changed since it was read; raises Unreadable."""
    made = {}
    for files in choice.pairs():
        stamp, before = _stamp(files), known.get(files)
        if before is not None and before.stamp == stamp:
            made[files] = before
            continue
        context = _made(files)
        try:
            _, ends = certificates.validity(files.certificate)
            name = next(iter(certificates.names(files.certificate)), files.certificate.parent.name)
        except (OSError, ValueError) as error:
            raise Unreadable(f"{files.certificate}: {error}") from None
        made[files] = Read(stamp, context, name, ends)
    return made


def _made(files: Files) -> ssl.SSLContext:
    try:
        return certificates.context(files)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{files.certificate} and {files.key}: {error}") from None


def _state(choice: Choice) -> object:
    """Give what changes when a file is replaced or rewritten, or a name comes or goes."""
    return [_stamp(files) for files in choice.pairs()], frozenset(choice.named.items())


def _stamp(files: Files) -> Stamp:
    return tuple(_changed(path) for path in (files.certificate, files.key))


def _changed(path: Path) -> tuple[str, int, int, int]:
    try:
        found: Any = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
