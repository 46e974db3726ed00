"""A real name server for tests: UDP and TCP on a port of its own, answering from a table that a test fills."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    """`records[(name, type)]` is a list of record texts; a name in `failing` gets SERVFAIL, one in `silent` no answer.

    `senseless[(name, type)]` are records that are only octets. It says of what is at or below the names in `proved` that DNSSEC proves it, but for the names in `unproved`. CNAMEs are followed.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.senseless: dict[tuple[str, str], list[bytes]] = {}
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.proved: set[str] = set()
        self.unproved: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def add(self, name: str, kind: str, *texts: str) -> None:
        """Publish records."""
        self.records.setdefault((name, kind), []).extend(texts)

    def host(self, domain: str, address: str = "127.0.0.1", *, exchange: str = "", preference: int = 10) -> None:
        """Publish a domain's MX and the address of its host."""
        exchange = exchange or f"mx.{domain}"
        self.add(domain, "MX", f"{preference} {exchange}.")
        self.add(exchange, "AAAA" if ":" in address else "A", address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if answer := self.answer(data):
            self._transport.sendto(answer, address)  # type: ignore[attr-defined]

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            if answer := self.answer(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))):
                writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    def answer(self, data: bytes) -> bytes:
        """Answer a question; with nothing where it is to be silent."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if name in self.silent:
            return b""
        answer = dns.message.make_response(query, recursion_available=True)
        for target in self.records.get((name, "CNAME"), ()):
            answer.answer.append(dns.rrset.from_text(question.name, 60, dns.rdataclass.IN, dns.rdatatype.CNAME, target))
        owner = dns.name.from_text(self.records.get((name, "CNAME"), [name])[0])
        texts = self.records.get((owner.to_text(omit_final_dot=True), kind))
        if name in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts:
            answer.answer.append(dns.rrset.from_text_list(owner, 60, dns.rdataclass.IN, question.rdtype, texts))
        if senseless := self.senseless.get((name, kind)):
            made = [dns.rdata.GenericRdata(dns.rdataclass.IN, question.rdtype, octets) for octets in senseless]
            answer.answer.append(dns.rrset.from_rdata_list(owner, 60, made))
        elif not texts and name not in self.failing and not any(known == name or known.endswith(f".{name}") for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        if query.flags & dns.flags.AD and name not in self.unproved and any(f".{name}".endswith(f".{zone}") for zone in self.proved):
            answer.flags |= dns.flags.AD
        return answer.to_wire()


@asynccontextmanager
async def name_server() -> AsyncIterator[tuple[NameServer, str]]:
    """Run a name server; gives it and its `host:port`."""
    while True:
        transport, server = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
        host, port = transport.get_extra_info("sockname")
        try:
            over_tcp = await asyncio.start_server(server.converse, host, port)
            break
        except OSError:  # the same number is somebody else's over TCP
            transport.close()
    try:
        yield server, f"{host}:{port}"
    finally:
        over_tcp.close()
        transport.close()
