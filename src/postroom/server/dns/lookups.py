"""DNS as `check` and the verification of mail domains ask it: plain questions, answered as text, on any thread."""

from collections.abc import Sequence

import dns.exception
import dns.nameserver
import dns.resolver
import dns.reversename

from postroom.server import endpoints

SECONDS = 5.0


class NoAnswer(Exception):
    """No name server gave an answer; this says nothing about the name."""


class Lookups:
    """Questions to the configured name servers, or to those of the machine."""

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        self._resolver = dns.resolver.Resolver(configure=not nameservers)
        self._resolver.lifetime = SECONDS
        if nameservers:
            servers = [endpoints.split(text, 53) for text in nameservers]
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]

    def records(self, name: str, kind: str) -> list[str]:
        """List records: TXT joined to one text, MX as `preference host`, names without the last dot. Raises NoAnswer."""
        try:
            answer = self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise NoAnswer(f"{name} {kind}: {error}") from None
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text().rstrip(".") for record in answer]

    def leads(self, name: str, target: str) -> bool:
        """Say whether a name is a CNAME of the target and of nothing else, in any case. Raises NoAnswer."""
        return [found.lower() for found in self.records(name, "CNAME")] == [target.lower()]

    def pointer(self, address: str) -> list[str]:
        """List the names of an address (RFC 1035 §3.5)."""
        return self.records(dns.reversename.from_address(address).to_text(), "PTR")
