"""A small name server on the loopback, UDP and TCP on one free port, that knows one dictionary and nothing else."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Zone = Mapping[tuple[str, str], Sequence[str]]


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Nameserver:
    """Answers from `{("stranger.test", "MX"): ["10 mx.stranger.test."]}`; what is not there does not exist. A context manager.

    It listens on a free port, or on another of another address.
    """

    def __init__(self, zone: Zone, address: str = "127.0.0.1", port: int = 0) -> None:
        self.zone = {(name.lower().rstrip("."), kind): list(values) for (name, kind), values in zone.items()}
        self.asked: list[tuple[str, str]] = []
        outer = self

        class OverUdp(socketserver.DatagramRequestHandler):
            def handle(self) -> None:
                self.wfile.write(outer.answer(self.rfile.read()).to_wire(max_size=1232))

        class OverTcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while head := self.rfile.read(2):
                    wire = outer.answer(self.rfile.read(*struct.unpack("!H", head))).to_wire()
                    self.wfile.write(struct.pack("!H", len(wire)) + wire)

        while True:
            self.udp = _Udp((address, port), OverUdp)
            self.port: int = self.udp.server_address[1]
            try:
                self.tcp = _Tcp((address, self.port), OverTcp)
            except OSError:  # the same number is somebody else's over TCP
                self.udp.server_close()
                if port:
                    raise
            else:
                break

    def answer(self, wire: bytes) -> dns.message.Message:
        """Answer one query."""
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name, kind = question.name.to_text().lower().rstrip("."), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query, recursion_available=True)
        values = self.zone.get((name, kind))
        if values:
            response.answer.append(dns.rrset.from_text_list(question.name, 60, dns.rdataclass.IN, question.rdtype, values))
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def __enter__(self) -> Nameserver:
        for server in (self.udp, self.tcp):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()
