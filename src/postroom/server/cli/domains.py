"""`postroom domains`: mail domains where the data is: what to publish for them, and DNS asked about one at once."""

import argparse
from collections.abc import Callable, Iterator

from postroom.directory import dkim, domains
from postroom.directory.domains import PENDING
from postroom.jobs.dkim import make_keys
from postroom.model.addresses import domain_key
from postroom.model.entities import MailDomain
from postroom.model.errors import DomainNotFound
from postroom.server import background, dns_findings, opening
from postroom.server.cli import options
from postroom.server.dns import second_signatures, verification
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.settings import Settings
from postroom.server.web import sts
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import domains as rows
from postroom.storage.queries import organizations

PAGE = 200

Action = Callable[[Store, Settings, argparse.Namespace], int]


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `domains`."""
    options.add_configuration(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="list the mail domains of all organizations").set_defaults(action=_list)
    records = actions.add_parser("records", help="show what the owner of a domain publishes")
    records.add_argument("domain")
    records.set_defaults(action=_records)
    keys = actions.add_parser("keys", help="show what you publish yourself: the DKIM keys that the CNAMEs of mail domains lead to")
    keys.add_argument("domain", nargs="?", help="of this domain only")
    keys.set_defaults(action=_keys)
    rotate = actions.add_parser("rotate", help="let the next DKIM key of a domain sign; the one before stays published for a week")
    rotate.add_argument("domain")
    rotate.set_defaults(action=_rotate)
    verify = actions.add_parser("verify", help="ask DNS about a domain now, and say what is missing")
    verify.add_argument("domain")
    verify.set_defaults(action=_verify)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    settings = options.settings(arguments)
    store = opening.open_store(settings)
    action: Action = arguments.action
    try:
        return action(store, settings, arguments)
    finally:
        store.close()


def _list(store: Store, settings: Settings, arguments: argparse.Namespace) -> int:
    print(f"{'OWNERSHIP':<9} {'DKIM':<9} {'ORGANIZATION':<34} DOMAIN")
    for scope in store.scopes():
        with store.transaction(REGISTRY, write=False) as tx:
            organization = organizations.find_by_number(tx, scope)
        for domain in _of(store, scope):
            print(f"{domain.ownership:<9} {domain.dkim:<9} {organization.id if organization else '':<34} {domain.domain}")
    return 0


def _records(store: Store, settings: Settings, arguments: argparse.Namespace) -> int:
    _, domain = named(store, arguments.domain)
    targets = background.targets(settings)
    for record in domains.records(domain, targets):
        print(record.line)
    print("; for a second signature, by Ed25519, which GetMailDomain does not list")
    for record in dkim.records_beside(domain, targets):
        print(record.line)
    if settings.web.listen_tls:
        print(f"; for MTA-STS, mode {settings.mta_sts.mode}, by which others know how to encrypt mail to the domain")
        for record in sts.records(domain.domain, settings):
            print(record.line)
    return 0


def _keys(store: Store, settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the keys as lines of a zone file, making those that are missing first."""
    only = named(store, arguments.domain) if arguments.domain else None
    for scope in [only[0]] if only else store.scopes():
        while make_keys(store, scope):
            pass
        for domain in [only[1]] if only else _of(store, scope):
            with store.transaction(scope, write=False) as tx:
                found = dkim.records(tx, domain, background.targets(settings))
                signing = [selector for selector, _ in dkim.signers(tx, domain.domain)] or [dkim.signing(tx, domain)]
            print(f"; {domain.domain}, signs with {' and '.join(signing) or 'none'}", *(record.line for record in found), sep="\n")
    return 0


def _rotate(store: Store, settings: Settings, arguments: argparse.Namespace) -> int:
    scope, domain = named(store, arguments.domain)
    with store.transaction(scope) as tx:
        selector = dkim.rotate(tx, domain.domain)
    print(f"{domain.domain} signs with {selector}.")
    print(f"Publish its keys again in {dkim.OVERLAP_DAYS} days: `postroom domains keys {domain.domain}`")
    return 0


def _verify(store: Store, settings: Settings, arguments: argparse.Namespace) -> int:
    """Ask DNS and note what it says; exit status 1 while the domain takes no mail."""
    scope, domain = named(store, arguments.domain)
    lookups, targets = Lookups(settings.dns.nameservers), background.targets(settings)
    try:
        if PENDING in (domain.ownership, domain.dkim):
            verification.settle(store, scope, domain, lookups, targets)
        second_signatures.look_at(store, scope, domain.domain, lookups)
        for finding in dns_findings.of_domain(domain, lookups, targets):
            print(finding)
    except NoAnswer as error:
        print(f"No name server answered: {error}")
    with store.transaction(scope, write=False) as tx:
        found = domains.get(tx, domain.domain)
        signing = [selector for selector, _ in dkim.signers(tx, found.domain)]
    print(f"{found.domain}: ownership {found.ownership}, DKIM {found.dkim}, signs with {' and '.join(signing) or 'none'}")
    return int(found.ownership != domains.VERIFIED)


def named(store: Store, name: str) -> tuple[int, MailDomain]:
    """Find a domain and whose it is; raises DomainNotFound."""
    with store.transaction(REGISTRY, write=False) as tx:
        scope = organizations.find_claim(tx, domain_key(name))
    if scope is None or scope not in store.scopes():
        raise DomainNotFound(f"No organization has the mail domain {name}; one that has failed must be registered again.")
    with store.transaction(scope, write=False) as tx:
        return scope, domains.get(tx, name)


def _of(store: Store, scope: int) -> Iterator[MailDomain]:
    after = ""
    while True:
        with store.transaction(scope, write=False) as tx:
            page = rows.page(tx, after=after, limit=PAGE)
            found = [domain for name in page if (domain := rows.find(tx, name))]
        yield from found
        if len(page) < PAGE:
            return
        after = page[-1]
