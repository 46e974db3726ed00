"""What DNS says, asked of the name servers the operator chose.

Absence is an answer (`NoSuchName`, or an empty list); `NoAnswer` means that nobody could say, so ask again later.
"""

from collections.abc import Iterable
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from postroom.mailflow.routes import host_and_port

DNS_PORT = 53


class NoSuchName(Exception):
    """The name does not exist (NXDOMAIN)."""


class NoAnswer(Exception):
    """No name server could answer: time-out, SERVFAIL, or an answer that is no answer."""


class Resolver:
    """Asks `nameservers`, each `host`, `host:port` or `[host]:port`; those of the machine when there are none."""

    def __init__(self, nameservers: Iterable[str] = (), *, lifetime: float = 10.0) -> None:
        servers = [dns.nameserver.Do53Nameserver(*host_and_port(text, DNS_PORT)) for text in nameservers]
        self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        if servers:
            self._resolver.nameservers = servers
        self._resolver.lifetime = lifetime
        self._resolver.timeout = min(lifetime, 3.0)
        self._resolver.cache = dns.resolver.LRUCache(4096)

    async def exchanges(self, domain: str) -> list[tuple[int, str]]:
        """List (preference, host) of a domain's MX records, best first; the host of a null MX is '' (RFC 7505)."""
        records = await self._records(domain, "MX")
        return sorted((record.preference, _name(record.exchange)) for record in records)

    async def addresses(self, host: str) -> list[str]:
        """List a host's addresses, IPv6 first."""
        found: list[str] = []
        trouble: NoAnswer | None = None
        for kind in ("AAAA", "A"):
            try:
                found += [str(record.address) for record in await self._records(host, kind)]
            except NoAnswer as error:
                trouble = error
        if trouble and not found:
            raise trouble
        return found

    async def texts(self, name: str) -> list[str]:
        """List a name's TXT records, the strings of each joined."""
        records = await self._records(name, "TXT")
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]

    async def ipv4(self, name: str) -> list[str]:
        """List a name's A records."""
        return [str(record.address) for record in await self._records(name, "A")]

    async def names(self, pointer: str) -> list[str]:
        """List the names that PTR records give an address, which is asked about by its pointer, such as `1.2.0.192.in-addr.arpa`."""
        return [_name(record.target) for record in await self._records(pointer, "PTR")]

    async def _records(self, name: str, kind: str) -> list[Any]:
        try:
            answer = await self._resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            raise NoSuchName(f"{name} does not exist") from None
        except dns.exception.DNSException as error:
            raise NoAnswer(f"no name server could say {kind} of {name}") from error
        return [] if answer.rrset is None else list(answer.rrset)


def _name(name: object) -> str:
    return str(name).rstrip(".").lower()
