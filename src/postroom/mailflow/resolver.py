"""What DNS says, asked of the name servers the operator chose.

Absence is an answer (`NoSuchName`, or an empty list); `NoAnswer` means that nobody could say, so ask again later.

A name server that validates DNSSEC marks what it has proved (the AD flag). Its word is taken when it stands on this
machine, or when the operator says that the way to it is safe: on any other way somebody could have set the flag.
"""

import asyncio
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.nameserver
import dns.query
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from postroom.mailflow.routes import host_and_port
from postroom.mailflow.tlsa import Tlsa

DNS_PORT = 53
_PAYLOAD = 1232
_NO_SENSE = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TLSA, "255 255 255 00")
"""Stands for TLSA records that make no sense, which so are there and of no use (RFC 7672 §2.2)."""
T = TypeVar("T")


class NoSuchName(Exception):
    """The name does not exist (NXDOMAIN)."""


class NoAnswer(Exception):
    """No name server could answer: time-out, SERVFAIL, or an answer that is no answer."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Records, whether DNSSEC proves them, and the name they were found under at the end of aliases."""

    records: tuple[T, ...]
    authenticated: bool
    name: str


class Nameserver(dns.nameserver.Do53Nameserver):
    """A name server one of whose TLSA records may make no sense without spoiling the others, or the whole answer."""

    async def async_query(  # as dnspython calls it
        self,
        request: dns.message.QueryMessage,
        timeout: float,  # noqa: ASYNC109
        *arguments: Any,
        **values: Any,
    ) -> dns.message.Message:
        """Ask one question; over UDP first, unless `max_size` says otherwise."""
        if request.question[0].rdtype != dns.rdatatype.TLSA:
            return await super().async_query(request, timeout, *arguments, **values)
        if not values["max_size"]:
            try:
                return await dns.asyncquery.udp(
                    request, self.address, timeout, self.port, ignore_unexpected=True, raise_on_truncation=True, backend=values["backend"]
                )
            except dns.exception.FormError:
                pass  # over TCP nobody else can put a word in
        async with asyncio.timeout(timeout):
            return await self._read(request)

    async def _read(self, request: dns.message.QueryMessage) -> dns.message.Message:
        """Ask over TCP and read what makes sense."""
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            wire = request.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            raw = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.transport.abort()
        response = dns.message.from_wire(raw, continue_on_error=True)
        if not isinstance(response, dns.message.QueryMessage) or not request.is_response(response):
            raise dns.query.BadResponse
        if response.errors:
            name = response.resolve_chaining().canonical_name
            response.find_rrset(response.answer, name, dns.rdataclass.IN, dns.rdatatype.TLSA, create=True).add(_NO_SENSE, 0)
        return response


class Resolver:
    """Asks `nameservers`, each `host`, `host:port` or `[host]:port`; those of the machine when there are none.

    With `validating` they are believed about DNSSEC wherever they are.
    """

    def __init__(self, nameservers: Iterable[str] = (), *, lifetime: float = 10.0, validating: bool = False) -> None:
        servers = [Nameserver(*host_and_port(text, DNS_PORT)) for text in nameservers]
        self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        of_machine = [Nameserver(str(server), self._resolver.port) for server in self._resolver.nameservers]
        self._resolver.nameservers = servers or of_machine
        self._resolver.lifetime = lifetime
        self._resolver.timeout = min(lifetime, 3.0)
        self._resolver.cache = dns.resolver.LRUCache(4096)
        self.believed = validating or all(_is_here(server) for server in self._resolver.nameservers)
        if self.believed:
            self._resolver.use_edns(0, dns.flags.DO, _PAYLOAD)
            self._resolver.flags = dns.flags.RD | dns.flags.AD

    async def exchanges(self, domain: str) -> list[tuple[int, str]]:
        """List (preference, host) of a domain's MX records, best first; the host of a null MX is '' (RFC 7505)."""
        return list((await self.proved_exchanges(domain)).records)

    async def proved_exchanges(self, domain: str) -> Answer[tuple[int, str]]:
        """Give the same, and whether it is proved."""
        answer = await self._answer(domain, "MX")
        found = sorted((record.preference, _name(record.exchange)) for record in answer.records)
        return Answer(tuple(found), answer.authenticated, answer.name)

    async def addresses(self, host: str) -> list[str]:
        """List a host's addresses, IPv6 first."""
        return list((await self.proved_addresses(host)).records)

    async def proved_addresses(self, host: str) -> Answer[str]:
        """Give the same, and whether it is proved, for both kinds of address."""
        found: list[Answer[Any]] = []
        trouble: NoAnswer | None = None
        for kind in ("AAAA", "A"):
            try:
                found.append(await self._answer(host, kind))
            except NoAnswer as error:
                trouble = error
        addresses = tuple(str(record.address) for answer in found for record in answer.records)
        if trouble and not addresses:
            raise trouble
        return Answer(addresses, all(answer.authenticated for answer in found), found[-1].name)

    async def tlsa(self, host: str, port: int) -> Answer[Tlsa]:
        """Give the TLSA records of a port of a host; none where the name does not exist."""
        name = f"_{port}._tcp.{host}"
        try:
            answer = await self._answer(name, "TLSA")
        except NoSuchName:
            return Answer((), False, name)
        records = tuple(Tlsa(record.usage, record.selector, record.mtype, bytes(record.cert)) for record in answer.records)
        return Answer(records, answer.authenticated, answer.name)

    async def proves(self, name: str) -> bool:
        """Say whether DNSSEC proves a zone that is signed for certain: whether the name servers validate. Raises `NoAnswer`."""
        try:
            return (await self._answer(name, "SOA")).authenticated
        except NoSuchName:
            return False

    async def texts(self, name: str) -> list[str]:
        """List a name's TXT records, the strings of each joined."""
        records = await self._records(name, "TXT")
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]

    async def ipv4(self, name: str) -> list[str]:
        """List a name's A records."""
        return [str(record.address) for record in await self._records(name, "A")]

    async def ipv6(self, name: str) -> list[str]:
        """List a name's AAAA records."""
        return [str(record.address) for record in await self._records(name, "AAAA")]

    async def names(self, pointer: str) -> list[str]:
        """List the names that PTR records give an address, which is asked about by its pointer, such as `1.2.0.192.in-addr.arpa`."""
        return [_name(record.target) for record in await self._records(pointer, "PTR")]

    async def _records(self, name: str, kind: str) -> list[Any]:
        return list((await self._answer(name, kind)).records)

    async def _answer(self, name: str, kind: str) -> Answer[Any]:
        try:
            answer = await self._resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            raise NoSuchName(f"{name} does not exist") from None
        except dns.exception.DNSException as error:
            raise NoAnswer(f"no name server could say {kind} of {name}") from error
        proved = self.believed and bool(answer.response.flags & dns.flags.AD)
        return Answer(tuple(answer.rrset or ()), proved, _name(answer.canonical_name))


def _name(name: object) -> str:
    return str(name).rstrip(".").lower()


def _is_here(server: Any) -> bool:
    """Say whether a name server stands on this machine."""
    try:
        return ipaddress.ip_address(getattr(server, "address", server)).is_loopback
    except ValueError:
        return False
