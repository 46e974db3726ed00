"""`postroom check`: does this machine fit the configuration, and if not, what to do; `check domain` asks DNS all about one mail domain."""

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from postroom.directory import dkim
from postroom.model.errors import PostroomError
from postroom.server import background, certificate_findings, dns_findings, findings, gateways, logs, opening
from postroom.server.certificates import Files
from postroom.server.chosen import Chosen
from postroom.server.cli import domains, options
from postroom.server.dns import domain_looks, validation
from postroom.server.dns.domain_looks import Situation
from postroom.server.dns.expectations import Look
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.findings import Finding, Level
from postroom.server.presented import Unreadable
from postroom.server.settings import Settings
from postroom.server.web import sts

Action = Callable[[Settings, argparse.Namespace], int]
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_configuration(parser)
    parser.add_argument("--no-dns", action="store_true", help="leave DNS alone")
    parser.set_defaults(action=_machine)
    actions = parser.add_subparsers(metavar="ACTION")
    domain = actions.add_parser("domain", help="every DNS record of a mail domain: what is found, what is expected, what to publish")
    domain.add_argument("domain")
    domain.add_argument("--json", action="store_true", help="print one JSON object")
    domain.set_defaults(action=_domain)


def run(arguments: argparse.Namespace) -> int:
    """Look at the machine or at one domain."""
    logs.configure(format="console", level="error")
    action: Action = arguments.action
    return action(options.settings(arguments), arguments)


def _domain(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print every look at a domain's records; exit status 1 when one that is needed is wrong."""
    store = opening.open_store(settings)
    try:
        scope, domain = domains.named(store, arguments.domain)
        targets = background.targets(settings)
        with store.transaction(scope, write=False) as tx:
            keys = dkim.records(tx, domain, targets)
        situation = Situation(domain, keys, settings, targets, _certificate(settings, targets.mail_host), store.now())
    finally:
        store.close()
    lookups = Lookups(settings.dns.nameservers, validating=settings.dns.validating)
    try:
        looks = list(domain_looks.look(situation, lookups))
    except NoAnswer as error:
        print(f"No name server answered: {error}")
        return 1
    wrong = [look.subject for look in looks if look.needed and not look.right]
    if arguments.json:
        print(msgspec.json.encode({"domain": domain.domain, "right": not wrong, "records": looks}).decode())
    else:
        print(*map(_row, looks), sep="\n")
        print(f"Needed and wrong: {', '.join(dict.fromkeys(wrong))}." if wrong else "All that is needed is right.")
    return int(bool(wrong))


def _row(look: Look) -> str:
    """Write a look as lines for a terminal, which what stands in DNS must not command."""
    state = "ok" if look.right else "wrong" if look.needed else "advice"
    lines = [f"{state:<8} {look.subject}: {look.hostname} {look.type} {', '.join(look.found) or 'none'}"]
    if look.remark:
        lines.append(f"{'':<9}{look.remark}")
    if not look.right:
        lines.append(f"{'':<9}expected: {look.expected}")
    return "\n".join(_CONTROL.sub("?", line) for line in [*lines, *(f"{'':<9}-> {line}" for line in look.paste)])


def _certificate(settings: Settings, name: str) -> Files | None:
    """Find the certificate that SMTP shows to whoever asks for a name; None where there is none yet."""
    if not settings.tls.certificate and not (Path(settings.data) / "tls" / "server.pem").exists():
        return None
    try:
        found = Chosen(settings)()
    except (Unreadable, OSError):
        return None
    named = found.named.get(name) or found.named.get("*." + name.partition(".")[2]) or found.default
    return named if named.certificate.exists() else None


def _machine(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print every finding; exit status 1 when one is bad."""
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
    yield from certificate_findings.of_certificates(settings)
    yield from findings.of_ports(settings)
    yield from findings.of_postmaster(settings)
    yield from findings.of_directories(background.directories(settings))
    yield from findings.of_filters(settings)
    yield from findings.of_gateways(gateways.tried(settings))
    yield from sts.findings(settings)
    lookups = Lookups(settings.dns.nameservers)
    if dns:
        yield from validation.findings(settings)
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
            yield from dns_findings.of_domains(store, lookups, background.targets(settings))
    except (PostroomError, OSError) as error:
        yield Finding(Level.BAD, "storage", f"cannot be read: {error}", "Is the keyring the one the data was made with?")
    finally:
        store.close()
