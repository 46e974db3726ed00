"""`postroom check`: does this machine fit the configuration, and if not, what to do."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from postroom.model.errors import PostroomError
from postroom.server import dns_findings, findings, logs, opening, wiring
from postroom.server.cli import options
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.findings import Finding, Level
from postroom.server.settings import Settings


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_configuration(parser)
    parser.add_argument("--no-dns", action="store_true", help="leave DNS alone")


def run(arguments: argparse.Namespace) -> int:
    """Print every finding; exit status 1 when one is bad."""
    logs.configure(format="console", level="error")
    settings = options.settings(arguments)
    print(Finding(Level.GOOD, "configuration", f"{arguments.config} is understood"))
    found = []
    for finding in _all(settings, dns=not arguments.no_dns):
        print(finding, flush=True)
        found.append(finding)
    worst = findings.worst(found)
    print({Level.GOOD: "All is well.", Level.WARNING: "It will run.", Level.BAD: "Something must be done first."}[worst])
    return int(worst is Level.BAD)


def _all(settings: Settings, *, dns: bool) -> Iterator[Finding]:
    yield from findings.of_folder(settings)
    yield from findings.of_keyring(settings)
    yield from findings.of_certificate(settings)
    yield from findings.of_ports(settings)
    yield from findings.of_postmaster(settings)
    yield from findings.of_directories(wiring.directories(settings))
    yield from findings.of_filters(settings)
    lookups = Lookups(settings.dns.nameservers)
    if dns:
        try:
            yield from dns_findings.of_host(settings, lookups)
        except NoAnswer as error:
            yield Finding(Level.WARNING, "hostname", str(error), "No name server answered; look at [dns] and the network.")
    yield from _of_store(settings, lookups if dns else None)


def _of_store(settings: Settings, lookups: Lookups | None) -> Iterator[Finding]:
    """Look into a store that has been used; one that has not is not made by looking."""
    if settings.storage.engine == "sqlite" and not (Path(settings.data) / "registry.db").exists():
        yield Finding(Level.GOOD, "storage", "will be made at the first start")
        return
    try:
        store = opening.open_store(settings)
    except Exception as error:
        yield Finding(Level.BAD, "storage", f"cannot be opened: {error}", "Is [storage] right, and the keyring the one it was made with?")
        return
    try:
        yield Finding(Level.GOOD, "storage", f"{settings.storage.engine}, {len(store.scopes())} organizations")
        if lookups:
            yield from dns_findings.of_domains(store, lookups, wiring.targets(settings))
    except (PostroomError, OSError) as error:
        yield Finding(Level.BAD, "storage", f"cannot be read: {error}", "Is the keyring the one the data was made with?")
    finally:
        store.close()
