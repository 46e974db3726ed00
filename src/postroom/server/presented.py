"""What this server presents in TLS: a certificate for every name it is called by, read again while it runs.

All doors share one context. A client that names the server it wants (SNI, RFC 6066 §3) is shown the certificate of that name, exact before
wildcard; whoever names none, or one that nothing is known of, is shown the default. Connections that are open keep theirs.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from postroom.server import certificates
from postroom.server.certificates import Files

WATCH_SECONDS = 60.0
MOST_PAIRS = 10_000
CERTIFICATE, KEY = "fullchain.pem", "privkey.pem"
"""What the pair in each subfolder is called; ACME clients name theirs so."""

log = structlog.get_logger("postroom.server")

Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of the default, and of names in lower case; `*.example.com` stands for every name one label longer."""

    default: Files
    named: Mapping[str, Files] = field(default_factory=dict)

    def signature(self) -> Signature:
        """Give what changes when a file is replaced or rewritten."""
        pairs = dict.fromkeys((self.default, *self.named.values()))
        return tuple(_stamp(path) for files in pairs for path in (files.certificate, files.key))


class Unreadable(Exception):
    """A pair of files cannot be used; the text says which and why."""


class Presented:
    """The one context of all doors, and what it shows."""

    def __init__(self, choose: Callable[[], Choice]) -> None:
        """Read what `choose` names; raises Unreadable."""
        self._choose = choose
        self._choice = choose()
        self._tried = self._choice.signature(), frozenset(self._choice.named)
        self._named = _contexts(self._choice)
        self.context = _made(self._choice.default)
        self.context.sni_callback = self._show

    @property
    def default(self) -> Files:
        """Give the files of the default."""
        return self._choice.default

    def _show(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Switch a handshake to the certificate of the name that was asked for."""
        if not name or not self._named:
            return
        asked = name.lower().rstrip(".")
        found = self._named.get(asked) or self._named.get("*." + asked.partition(".")[2])
        if found is not None:
            connection.context = found

    def reload(self, choice: Choice | None = None) -> None:
        """Read everything again, all or nothing; what cannot be used is logged and the old stays."""
        try:
            choice = choice or self._choose()
            self._tried = choice.signature(), frozenset(choice.named)
            self._take(choice, _contexts(choice))
        except (Unreadable, OSError, ValueError) as error:
            log.error("certificate_not_reloaded", reason=str(error))

    def _take(self, choice: Choice, named: dict[str, ssl.SSLContext]) -> None:
        """Show what was read from now on, and of an unreadable pair what was before; the loop's thread must not see half of one."""
        certificates.load(self.context, choice.default)
        read = set(choice.named.values())
        kept = {name: files for name, files in self._choice.named.items() if files not in read and files.key.exists()}
        self._named = {name: self._named[name] for name in kept} | named
        self._choice = Choice(choice.default, kept | dict(choice.named))
        log.info("certificate_reloaded", names=len(named))

    async def look(self) -> None:
        """Read everything again if a file has changed since the last attempt, or a pair has come or gone."""
        try:
            choice = await asyncio.to_thread(self._choose)
            seen = await asyncio.to_thread(choice.signature), frozenset(choice.named)
            if seen != self._tried:
                self._tried = seen
                self._take(choice, await asyncio.to_thread(_contexts, choice))
        except (Unreadable, OSError, ValueError) as error:
            log.error("certificate_not_reloaded", reason=str(error))

    async def watch(self) -> None:
        """Look once a minute, for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("certificate_not_reloaded")


def pairs(folder: Path) -> Iterator[tuple[str, Files]]:
    """Find the pairs in the subfolders of a folder, each for all names in its certificate; one that cannot be used is skipped."""
    try:
        found = sorted(path for path in folder.iterdir() if (path / CERTIFICATE).exists() and (path / KEY).exists())
    except OSError as error:
        raise Unreadable(f"{folder}: {error.strerror}") from None
    for path in found[:MOST_PAIRS]:
        files = Files(path / CERTIFICATE, path / KEY)
        try:
            _made(files)
            names = certificates.names(files.certificate)
        except (Unreadable, OSError, ValueError) as error:
            log.warning("certificate_skipped", folder=str(path), reason=str(error))
            continue
        yield from ((name, files) for name in names)


def _contexts(choice: Choice) -> dict[str, ssl.SSLContext]:
    """Make a context for each pair, which several names may share."""
    made = {files: _made(files) for files in dict.fromkeys(choice.named.values())}
    return {name: made[files] for name, files in choice.named.items()}


def _made(files: Files) -> ssl.SSLContext:
    try:
        return certificates.context(files)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{files.certificate} and {files.key}: {error}") from None


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        found: Any = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
