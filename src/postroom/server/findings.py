"""What `postroom check` looks at: each look gives findings, and each finding that is not good says what to do."""

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from postroom.directory.outside import Directories
from postroom.mailflow.filters import clamav, rspamd, spamassassin
from postroom.mailflow.filters.wire import Unavailable
from postroom.model import errors
from postroom.server import endpoints, listeners
from postroom.server.settings import Settings

SLOW_FSYNC_SECONDS = 0.02
FSYNC_TRIES = 20
LOW_SPACE_BYTES = 5 * 2**30


class Level(StrEnum):
    """How bad a finding is."""

    GOOD = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what to do about it."""

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.subject}: {self.text}"
        return f"{line}\n{'':<9}-> {self.advice}" if self.advice else line


def of_directories(directories: Directories) -> Iterator[Finding]:
    """Sign in to each outside directory as whoever reads it."""
    for directory in directories.values():
        try:
            directory.reach()
        except errors.DirectoryUnavailable as error:
            yield Finding(Level.BAD, "directory", error.text, f"Look at [directories.{directory.name}], and at the directory.")
        else:
            yield Finding(Level.GOOD, "directory", f"{directory.name} answers")


def of_gateways(tried: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Tell which gateways of flow rules let this server in, by what is the matter with each."""
    for name, trouble in tried:
        if trouble:
            advice = f"Look at [gateways.{name}], and at the gateway; letters wait for it in the queue."
            yield Finding(Level.WARNING, "gateway", f"{name}: {trouble}", advice)
        else:
            yield Finding(Level.GOOD, "gateway", f"{name} lets this server in")


def of_filters(settings: Settings) -> Iterator[Finding]:
    """Speak to each filter that is configured."""
    part = settings.filters
    teacher = rspamd.Client(part.rspamd)
    clients = (
        (rspamd.NAME, part.rspamd.address, teacher.reach),
        (rspamd.NAME, part.rspamd.controller if part.rspamd.password else "", teacher.reach_controller),
        (spamassassin.NAME, part.spamassassin.address, spamassassin.Client(part.spamassassin).reach),
        (clamav.NAME, part.clamav.address, clamav.Client(part.clamav).reach),
    )
    for name, address, reach in clients:
        if not address:
            continue
        try:
            asyncio.run(reach())
        except Unavailable as error:
            advice = f"Look at [filters.{name}], and whether it runs; letters come in unseen or not at all."
            yield Finding(Level.WARNING, name, str(error), advice)
        else:
            yield Finding(Level.GOOD, name, f"{address} answers")


def of_folder(settings: Settings) -> Iterator[Finding]:
    """Look at the data folder: may it be written, is there room, how long does an fsync take."""
    folder = Path(settings.data)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        seconds = fsync_seconds(folder)
    except OSError as error:
        yield Finding(Level.BAD, "data", f"{folder}: {error.strerror}", "Give the folder to the user that runs Postroom.")
        return
    yield Finding(Level.GOOD, "data", f"{folder} can be written")
    free = shutil.disk_usage(folder).free
    space = f"{free / 2**30:.1f} GiB free"
    if free < LOW_SPACE_BYTES:
        yield Finding(Level.WARNING, "disk", space, "Mail is refused when the disk is full; make room.")
    else:
        yield Finding(Level.GOOD, "disk", space)
    speed = f"an fsync takes {seconds * 1000:.1f} ms"
    if seconds > SLOW_FSYNC_SECONDS:
        yield Finding(Level.WARNING, "disk", speed, "Every acknowledged letter waits for one; use a disk with a protected write cache.")
    else:
        yield Finding(Level.GOOD, "disk", speed)


def fsync_seconds(folder: Path) -> float:
    """Measure the median time to make four kilobytes durable, in seconds."""
    path = folder / f".fsync-{os.getpid()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        times = []
        for _ in range(FSYNC_TRIES):
            started = time.perf_counter()
            os.write(descriptor, bytes(4096))
            os.fsync(descriptor)
            times.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
        path.unlink()
    return sorted(times)[len(times) // 2]


def of_keyring(settings: Settings) -> Iterator[Finding]:
    """Look at the keyring: is it there, and whose is it to read."""
    path = Path(settings.keys.keyring)
    try:
        status = path.stat()
    except FileNotFoundError:
        if (Path(settings.data) / "registry.db").exists():
            yield Finding(Level.BAD, "keyring", f"{path} is gone", "Without it nothing can be read: put its copy back.")
            return
        yield Finding(Level.GOOD, "keyring", f"{path} will be made at the first start")
        return
    except OSError as error:
        yield Finding(Level.BAD, "keyring", f"{path}: {error.strerror}", "Give the file to the user that runs Postroom.")
        return
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding(Level.BAD, "keyring", f"others may read {path}", f"chmod 600 {path}")
    else:
        yield Finding(Level.GOOD, "keyring", f"only its owner reads {path}; keep a copy on another machine")


def of_ports(settings: Settings) -> Iterator[Finding]:
    """Look at every address to listen on: may it be taken, and is it free."""
    for name, text in addresses(settings):
        try:
            for made in listeners.bind(endpoints.parse(text)):
                made.close()
        except listeners.PortTaken as error:
            cause = error.__cause__
            advice = "Stop what listens there, or choose another port; a running Postroom is reported here too."
            if isinstance(cause, PermissionError):
                advice = "Ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in the systemd unit)."
            yield Finding(Level.BAD, f"[{name}]", str(error), advice)
        else:
            yield Finding(Level.GOOD, f"[{name}]", f"{text} is free")


def of_postmaster(settings: Settings) -> Iterator[Finding]:
    """Look whether somebody gets the mail that every mail server must take (RFC 5321 §4.5.1)."""
    if settings.smtp.postmaster:
        yield Finding(Level.GOOD, "postmaster", f"mail for postmaster and abuse goes to {settings.smtp.postmaster}")
    else:
        advice = "Set [smtp] postmaster to an address of yours, or give every domain a user, group or alias postmaster."
        yield Finding(Level.WARNING, "postmaster", "mail for postmaster is refused in domains where nobody has that address", advice)


def addresses(settings: Settings) -> list[tuple[str, str]]:
    """List (table, address) of everything to listen on."""
    tables = ("api", "web", "smtp", "submission", "imap", "managesieve", "metrics")
    return [
        (table, text)
        for table in tables
        for name in ("listen", "listen_tls")
        for text in getattr(getattr(settings, table), name, ())
    ]  # fmt: skip


def worst(findings: Sequence[Finding]) -> Level:
    """Give the worst level there is."""
    order = [Level.GOOD, Level.WARNING, Level.BAD]
    return max((finding.level for finding in findings), key=order.index, default=Level.GOOD)
