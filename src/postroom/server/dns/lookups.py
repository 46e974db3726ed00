"""DNS as `check` and the verification of mail domains ask it: plain questions, answered as text, on any thread."""

import ipaddress
from collections.abc import Sequence
from typing import Any, TypeVar

import dns.exception
import dns.flags
import dns.nameserver
import dns.resolver
import dns.reversename

from postroom.mailflow import resolver
from postroom.mailflow.authentication.questions import Check, Query
from postroom.server import endpoints

SECONDS = 5.0
PAYLOAD_OCTETS = 1232
T = TypeVar("T")


class NoAnswer(Exception):
    """No name server gave an answer; this says nothing about the name."""


class Lookups:
    """Questions to the configured name servers, or to those of the machine; `believed` where their word on DNSSEC is taken."""

    def __init__(self, nameservers: Sequence[str] = (), *, validating: bool = False) -> None:
        self._resolver = dns.resolver.Resolver(configure=not nameservers)
        self._resolver.lifetime = SECONDS
        if nameservers:
            servers = [endpoints.split(text, 53) for text in nameservers]
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
        self.believed = validating
        if validating:
            self._resolver.use_edns(0, dns.flags.DO, PAYLOAD_OCTETS)
            self._resolver.flags = dns.flags.RD | dns.flags.AD

    def records(self, name: str, kind: str) -> list[str]:
        """List records: TXT joined to one text, MX as `preference host`, names without the last dot. Raises NoAnswer."""
        answer = self._answer(name, kind)
        if answer is None:
            return []
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text().rstrip(".") for record in answer]

    def pointer(self, address: str) -> list[str]:
        """List the names of an address (RFC 1035 §3.5)."""
        return self.records(dns.reversename.from_address(address).to_text(), "PTR")

    def proved(self, name: str, kind: str) -> bool:
        """Say whether there are such records and DNSSEC proves them. Raises NoAnswer."""
        answer = self._answer(name, kind)
        return self.believed and answer is not None and bool(answer.response.flags & dns.flags.AD)

    def evaluate(self, check: Check[T]) -> T:
        """Answer what a check asks until it comes to a result."""
        step: Any = None
        try:
            while True:
                query = check.throw(step) if isinstance(step, Exception) else check.send(step)
                step = self._answer_to(query)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def _answer_to(self, query: Query) -> list[str] | Exception:
        try:
            if query.kind == "PTR":
                return self.pointer(str(ipaddress.ip_address(query.name)))
            found = self.records(query.name, query.kind)
        except NoAnswer as error:
            return resolver.NoAnswer(str(error))
        except ValueError:  # a name that no question can be made of
            return resolver.NoSuchName(query.name)
        ranked = sorted(found, key=lambda text: int(text.split()[0])) if query.kind == "MX" else found
        return [text.partition(" ")[2] for text in ranked] if query.kind == "MX" else ranked

    def _answer(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """Give what there is, None where there is nothing. Raises NoAnswer."""
        try:
            return self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except dns.exception.DNSException as error:
            raise NoAnswer(f"{name} {kind}: {error}") from None
