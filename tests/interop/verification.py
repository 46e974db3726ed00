"""A laboratory of DANE and MTA-STS: zones that Knot signs and Unbound validates, Postfix with good and bad certificates, Postroom between.

Outside stand also a policy host, and one who spoils a signature on its way.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import shutil
import smtplib
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.interop import isolation
from tests.interop.knot import Knot, validator
from tests.interop.peer import loopback
from tests.interop.postfix import Postfix
from tests.interop.tools import need
from tests.ports import free_port
from tests.program import Program, Ready, User, hire, running

HOST, STS_HERE = "mx.demo.postroom.test", "letters.test"
"""Postroom's name, and the domain here that has a policy."""
GOOD, BAD = ("dane", "wrong", "bogus", "odd", "sts"), ("badname", "stranger", "testing")
"""Domains of Postfix: what its first server shows will do by name for these, and for those not; `stranger` has the second server, `odd` a TLSA record of two octets."""
CONFIGURATION = """\
data = "."
[api]
listen = ["{address}:8080"]
[web]
listen_tls = ["{address}:443"]
[smtp]
listen = ["{address}:25"]
[submission]
listen = ["{address}:587"]
listen_tls = ["{address}:465"]
[imap]
listen = ["{address}:143"]
listen_tls = ["{address}:993"]
[managesieve]
listen = []
[tls]
certificate = "{folder}/here.pem"
key = "{folder}/here.key"
[mail]
hostname = "{host}"
keep_open = 0.01
[mta_sts]
mode = "enforce"
ca = "{folder}/authority.pem"
port = {policy_port}
private_addresses = true
[dns]
nameservers = ["{resolver}:53"]
validating = true
signed_name = "test"
[domains]
base = "postroom.test"
verify = false
"""
POLICY = "version: STSv1\r\nmode: {mode}\r\nmx: mx.{name}.test\r\nmax_age: 86400\r\n"
ADVISER = """\
host: 127.0.0.1
port: {port}
reuse_port: true
shutdown_timeout: 1
cache:
  type: internal
default_zone:
  strict_testing: false
  timeout: 10
"""


@dataclass(frozen=True, slots=True)
class Laboratory:
    """All of it running."""

    program: Program
    postfix: Postfix
    policies: PolicyHost
    user: User
    adviser: int
    """The port of what tells Postfix of policies."""

    @property
    def ready(self) -> Ready:
        return self.program.ready

    def await_adviser(self) -> None:
        """Wait until what tells Postfix of policies listens, if it is there."""
        end = time.monotonic() + 60
        while self.adviser:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.adviser), 1):
                return
            assert time.monotonic() < end, (self.program.folder / "mta-sts-daemon.log").read_text()
            time.sleep(0.05)

    def send(self, recipient: str, **headers: str) -> str:
        """Send a letter from here, with more headers; gives its marker."""
        letter, marker = written(self.user.email, recipient)
        for name, value in headers.items():
            letter[name.replace("_", "-")] = value
        with smtplib.SMTP_SSL(*self.ready.submissions, context=self.ready.tls(), timeout=60) as client:
            client.login(self.user.email, self.user.password)
            client.send_message(letter, self.user.email, [recipient])
        return marker

    def told(self, event: str, **values: str) -> dict[str, Any]:
        """Wait for a line in Postroom's log."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for line in self.program.log.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if said.get("event") == event and all(said.get(name) == value for name, value in values.items()):
                        return dict(said)
            time.sleep(0.02)
        raise AssertionError(f"nothing of {event} {values}:\n{self.program.tail()}")


def written(sender: str, recipient: str) -> tuple[EmailMessage, str]:
    """Write a letter; gives it and a word that is in it alone."""
    letter = EmailMessage()
    marker = f"marker-{time.monotonic_ns()}"
    letter["From"], letter["To"], letter["Subject"] = sender, recipient, marker
    letter["Message-ID"] = f"<{marker}@{sender.partition('@')[2]}>"
    letter.set_content("Nothing much.\n")
    return letter, marker


class PolicyHost(http.server.ThreadingHTTPServer):
    """Serves the policies of Postfix's domains over HTTPS; `asked` are the hosts whose policy somebody wanted."""

    daemon_threads = True

    def __init__(self, certificate: trustme.LeafCert) -> None:
        self.asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805
                found = re.fullmatch(r"mta-sts\.(\w+)\.test(:\d+)?", handler.headers["Host"])
                assert found is not None
                self.asked.append(found[1])
                body = POLICY.format(mode="testing" if found[1] == "testing" else "enforce", name=found[1]).encode()
                handler.send_response(200 if handler.path == "/.well-known/mta-sts.txt" else 404)
                handler.send_header("Content-Type", "text/plain")
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *arguments: object) -> None:  # noqa: N805
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Spoiler(socketserver.ThreadingUDPServer):
    """Stands between Unbound and Knot, and changes one octet of the signature of one TLSA record set."""

    daemon_threads = True

    def __init__(self, port: int, name: str) -> None:
        spoilt = dns.name.from_text(name)

        class Handler(socketserver.DatagramRequestHandler):
            def handle(self) -> None:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
                    upstream.settimeout(5)
                    upstream.sendto(self.rfile.read(), ("127.0.0.1", port))
                    self.wfile.write(_spoil(upstream.recv(65_535), spoilt))

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


def _spoil(wire: bytes, name: dns.name.Name) -> bytes:
    answer = dns.message.from_wire(wire, continue_on_error=True)
    for number, found in enumerate(answer.answer):
        if found.name == name and found.rdtype == dns.rdatatype.RRSIG and found.covers == dns.rdatatype.TLSA:
            signature = bytes([found[0].signature[0] ^ 1]) + found[0].signature[1:]
            answer.answer[number] = dns.rrset.from_rdata(name, found.ttl, found[0].replace(signature=signature))
            return answer.to_wire()
    return wire


@contextmanager
def open_laboratory(folder: Path) -> Iterator[Laboratory]:
    """Open it; skips the test where a program is missing."""
    for name, package in (("postfix", "postfix"), ("unbound", "unbound"), ("knotd", "knot")):
        need(name, package)
    try:
        ours, resolver, strange = loopback(), loopback(53), loopback()
    except PermissionError as error:
        pytest.skip(str(error))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    _write(folder, "here", authority.issue_cert(HOST, f"mta-sts.{STS_HERE}", ours), authority)
    there = authority.issue_cert(*(f"mx.{name}.test" for name in GOOD))
    _write(folder, "there", there, authority)
    _write(folder, "strange", trustme.CA().issue_cert("mx.stranger.test"))
    with ExitStack() as stack:
        adviser = _adviser(stack, folder, resolver)
        policies = stack.enter_context(PolicyHost(authority.issue_cert(*(f"mta-sts.{name}.test" for name in ("sts", *BAD)))))
        _serve(stack, policies)
        postfix = _postfix(folder, resolver, strange, adviser)
        knot = stack.enter_context(Knot(_new(folder / "knot"), signing=True))
        knot.publish(_zone(ours, {**dict.fromkeys((*GOOD, *BAD), postfix.address), "stranger": strange}, folder))
        spoiler = stack.enter_context(Spoiler(knot.port, "_25._tcp.mx.bogus.test."))
        _serve(stack, spoiler)
        stack.enter_context(validator(knot, _new(folder / "unbound"), address=resolver, port=53, upstream=spoiler.port))
        values = {"address": ours, "resolver": resolver, "folder": folder, "host": HOST, "policy_port": policies.port}
        (_new(folder / "data") / "postroom.toml").write_text(CONFIGURATION.format(**values))
        stack.enter_context(postfix)
        program = stack.enter_context(running(Program(["demo", "--data", str(folder / "data")], folder)))
        yield Laboratory(program, postfix, policies, _hired(program.ready), adviser)


def _hired(ready: Ready) -> User:
    """Hire somebody who has an address in the domain with a policy, too."""
    user, client = hire(ready, "correspondent"), ready.workmail()
    client.register_mail_domain(OrganizationId=ready.organization_id, DomainName=STS_HERE)
    client.create_alias(OrganizationId=ready.organization_id, EntityId=user.id, Alias=f"correspondent@{STS_HERE}")
    return user


def _adviser(stack: ExitStack, folder: Path, resolver: str) -> int:
    """Start Debian's postfix-mta-sts-resolver, which tells Postfix of policies and takes some seconds to begin; gives its port, 0 where it is missing."""
    program, port = shutil.which("mta-sts-daemon"), free_port()
    if program is not None:
        file = folder / "mta-sts-daemon.yml"
        file.write_text(ADVISER.format(port=port))
        command = isolation.command([program, "-c", file], folder, files=isolation.resolver(resolver))
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin", "SSL_CERT_FILE": str(folder / "authority.pem")}
        with (folder / "mta-sts-daemon.log").open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
    return port if program else 0


def _serve(stack: ExitStack, server: socketserver.BaseServer) -> None:
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    stack.callback(server.shutdown)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _write(folder: Path, name: str, issued: trustme.LeafCert, authority: trustme.CA | None = None) -> None:
    chain = [blob.bytes() for blob in issued.cert_chain_pems] + ([authority.cert_pem.bytes()] if authority else [])
    (folder / f"{name}.pem").write_bytes(b"".join(chain))
    issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))


def _digest(folder: Path, name: str) -> str:
    key = load_pem_private_key((folder / f"{name}.key").read_bytes(), None).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _zone(ours: str, servers: Mapping[str, str], folder: Path) -> list[str]:
    """Write what DNS says of Postfix's domains and of those here."""
    lines = [f"{HOST}. A {ours}", f"_25._tcp.{HOST}. TLSA 3 1 1 {_digest(folder, 'here')}"]
    for domain in ("demo.postroom.test", STS_HERE):
        lines += [f"{domain}. MX 10 {HOST}.", f'{domain}. TXT "v=spf1 ip4:127.0.0.0/8 -all"']
    lines += [f"mta-sts.{STS_HERE}. A {ours}", f'_mta-sts.{STS_HERE}. TXT "v=STSv1; id=1;"']
    for name, address in servers.items():
        lines += [f"{name}.test. MX 10 mx.{name}.test.", f"mx.{name}.test. A {address}", f'{name}.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"']
        if name in ("sts", *BAD):
            lines += [f"mta-sts.{name}.test. A 127.0.0.1", f'_mta-sts.{name}.test. TXT "v=STSv1; id=1;"']
        else:
            digest = "00" * 32 if name == "wrong" else _digest(folder, "there")
            lines.append(f"_25._tcp.mx.{name}.test. " + (r"TYPE52 \# 2 0301" if name == "odd" else f"TLSA 3 1 1 {digest}"))
    return lines


def _postfix(folder: Path, resolver: str, strange: str, adviser: int) -> Postfix:
    """Prepare a Postfix that takes mail for all its domains, shows another certificate at a second address, and verifies whom it sends to."""
    others = [f"{name}.test" for name in (*GOOD, *BAD) if name != "dane"]
    settings = {
        "virtual_alias_domains": " ".join(others),
        "virtual_alias_maps": "inline:{ " + ", ".join(f"{{@{domain}=bob@dane.test}}" for domain in others) + " }",
        "smtpd_tls_received_header": "yes",
        "smtp_tls_security_level": "dane",
        "smtp_dns_support_level": "dnssec",
        "smtp_tls_CAfile": str(folder / "authority.pem"),
        "smtp_tls_policy_maps": f"socketmap:inet:127.0.0.1:{adviser}:postfix" if adviser else "",
    }
    second = f"{strange}:smtp inet n - n - - smtpd\n"
    second += f"  -o smtpd_tls_cert_file={folder}/strange.pem -o smtpd_tls_key_file={folder}/strange.key\n"
    pair = (folder / "there.pem", folder / "there.key")
    return Postfix("dane.test", ["bob"], certificate=pair, settings=settings, services=second, resolver=resolver)
