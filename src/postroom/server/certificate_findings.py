"""What `postroom check` and `postroom certificates` say of certificates: which there are, when they end, which orders failed."""

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postroom.model.addresses import domain_key
from postroom.server import certificates
from postroom.server.acme import pacing
from postroom.server.acme.folder import Folder
from postroom.server.certificates import Files
from postroom.server.chosen import Chosen
from postroom.server.findings import Finding, Level
from postroom.server.presented import Choice, Unreadable
from postroom.server.settings import Settings

DAYS = 14
"""A certificate that ends before that many days is worth a word."""


@dataclass(frozen=True, slots=True)
class Row:
    """A certificate and to whom it is shown; `ends` is in epoch seconds, 0 where it cannot be read."""

    name: str
    source: str
    ends: float
    shown: str
    files: Files


def rows(settings: Settings) -> Iterator[Row]:
    """List what is shown by which name, the default first; raises Unreadable."""
    choice = Chosen(settings, issue=False)()
    own = domain_key(settings.mail.hostname)
    yield _row(settings, own, choice.default, "to whoever asks for no other, on every port")
    for name, files in sorted(choice.named.items()):
        yield _row(settings, name, files, "to who asks for it")


def _row(settings: Settings, name: str, files: Files, shown: str) -> Row:
    try:
        _, ends = certificates.validity(files.certificate)
    except (OSError, ValueError):
        ends = 0.0
    return Row(name, _source(settings, files), ends, shown, files)


def _source(settings: Settings, files: Files) -> str:
    if files.authority:
        return "local"
    return "acme" if files.certificate.is_relative_to(Folder(Path(settings.data)).root) else "file"


def failures(settings: Settings) -> Iterator[tuple[str, str]]:
    """List the names whose last order has failed, and why."""
    if settings.tls.acme.enabled:
        for name, record in sorted(pacing.load(Folder(Path(settings.data)).orders).names.items()):
            if record.error and not record.stale(time.time()):
                yield name, record.error


def of_certificates(settings: Settings) -> Iterator[Finding]:
    """Look at each certificate: can it be loaded, how long does it last; does the default name this host; did all orders succeed."""
    chosen = Chosen(settings, issue=False)
    try:
        choice = chosen()
    except (Unreadable, OSError, ValueError) as error:
        yield Finding(Level.BAD, "[tls]", str(error), "Both files of a pair must be PEM, belong together and be readable.")
        return
    if choice.default.authority:
        advice = "Clients must trust its authority; set certificate and key to one that they trust already, or enable [tls.acme]."
        yield Finding(Level.WARNING, "[tls]", "the local authority issues the certificate", advice)
    for files in choice.pairs():
        if not files.authority:
            yield _of_pair(settings, files)
    for folder, reason in chosen.skipped():
        yield Finding(Level.BAD, "[tls]", f"{folder} is left out: {reason}", "Both files must be PEM, belong together and be readable.")
    yield from _of_name(settings, choice)
    for name, reason in failures(settings):
        advice = f"See to it, then `postroom certificates renew {name}`; the server tries again by itself."
        yield Finding(Level.WARNING, "[tls.acme]", f"{name} has not been issued: {reason}", advice)


def _of_pair(settings: Settings, files: Files) -> Finding:
    path = files.certificate
    try:
        certificates.context(files)
        _, until = certificates.validity(path)
    except (OSError, ValueError) as error:
        return Finding(Level.BAD, "[tls]", f"{path}: {error}", "Both files must be PEM, belong together and be readable.")
    left = (until - time.time()) / pacing.DAY
    ends = f"{path} ends on {datetime.datetime.fromtimestamp(until, datetime.UTC):%Y-%m-%d}"
    if left >= DAYS:
        return Finding(Level.GOOD, "[tls]", ends)
    advice = "Renew it; the server reads it within a minute."
    if _source(settings, files) == "acme":
        advice = f"It should have been renewed: look at the log, and try `postroom certificates renew {path.parent.name}`."
    return Finding(Level.BAD if left < 0 else Level.WARNING, "[tls]", ends, advice)


def _of_name(settings: Settings, choice: Choice) -> Iterator[Finding]:
    """Look whether other servers, who ask for the host's name, are shown a certificate of that name."""
    host = domain_key(settings.mail.hostname)
    wildcard = "*." + host.partition(".")[2]
    if choice.default.authority or host in choice.named or wildcard in choice.named:
        return
    try:
        names = certificates.names(choice.default.certificate)
    except (OSError, ValueError):
        return
    if host not in names and wildcard not in names:
        advice = "Set [mail] hostname to a name in the certificate, or get one for this name."
        yield Finding(Level.WARNING, "[tls]", f"it does not name {settings.mail.hostname}", advice)
