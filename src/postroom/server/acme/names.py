"""Which names certificates are ordered for, and whether they lead here. Addresses (RFC 8738) get none."""

from contextlib import suppress
from pathlib import Path

from postroom.model.addresses import domain_key
from postroom.server import certificates
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import organizations

BESIDE = ("mta-sts", "autodiscover")
"""What stands before a mail domain in the names that others ask this server for."""
MOST_NAMES = 10_000


def configured(settings: Settings) -> list[str]:
    """List the names that the settings ask for, in their form in DNS; none where they are found by themselves."""
    return list(dict.fromkeys(domain_key(name) for name in settings.tls.acme.names))


def candidates(settings: Settings, store: Store) -> list[str]:
    """List the names that others are told to ask for, the server's own first, without those for which there is a certificate already."""
    hosts = [settings.mail.hostname, settings.domains.mail_host, settings.domains.autodiscover_host]
    found = dict.fromkeys(domain_key(host) for host in hosts)
    for scope in store.scopes():
        with store.transaction(REGISTRY, write=False) as tx:
            claims = organizations.claims(tx, scope)
        found.update(dict.fromkeys(f"{label}.{domain}" for domain, verified, _ in claims if verified for label in BESIDE))
    brought = _brought(settings)
    return [name for name in found if "." in name and not _covered(name, brought)][:MOST_NAMES]


class Here:
    """Tells which names lead to this server: whose addresses are among those of its host name."""

    def __init__(self, lookups: Lookups, hostname: str) -> None:
        """Raises NoAnswer."""
        self._lookups = lookups
        self._own = self._addresses(hostname)

    def leads(self, name: str) -> bool:
        """Tell whether a name has addresses, all of which are ours; what nobody answers about does not."""
        try:
            found = self._addresses(name)
        except NoAnswer:
            return False
        return bool(found) and found <= self._own

    def _addresses(self, name: str) -> set[str]:
        return {address for kind in ("A", "AAAA") for address in self._lookups.records(name, kind)}


def _brought(settings: Settings) -> set[str]:
    """Find the names of certificates that the administrator has brought."""
    names = set(settings.tls.domains)
    if settings.tls.certificate:
        with suppress(OSError, ValueError):
            names.update(certificates.names(Path(settings.tls.certificate)))
    return names


def _covered(name: str, brought: set[str]) -> bool:
    return name in brought or "*." + name.partition(".")[2] in brought
