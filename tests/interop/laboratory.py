"""A small internet on the loopback: Postroom, Postfix, Exim and OpenSMTPD, each on port 25 of its own address, found by MX records.

Every one of them asks the same Unbound, Postroom by its configuration, the others by a resolv.conf of their own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.interop.exim import Exim
from tests.interop.opensmtpd import OpenSmtpd
from tests.interop.peer import Peer, loopback
from tests.interop.postfix import Postfix
from tests.interop.tools import need
from tests.program import Program, Ready, running

PEOPLE = ["bob", "carol"]
DOMAIN = "demo.postroom.test"
CONFIGURATION = """\
data = "."

[api]
listen = ["{address}:8080"]

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

[mail]
hostname = "mx.demo.postroom.test"

[dns]
nameservers = ["{resolver}:53"]

[domains]
base = "postroom.test"
verify = false
{more}
"""
UNBOUND = """\
server:
  interface: {address}
  port: 53
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  local-zone: "test." static
  local-zone: "127.in-addr.arpa." static
{records}
remote-control:
  control-enable: no
"""


@dataclass(frozen=True, slots=True)
class Laboratory:
    """All of them running; `peers` by the name of the program."""

    program: Program
    peers: Mapping[str, Peer]
    domains: Mapping[str, str]

    @property
    def ready(self) -> Ready:
        return self.program.ready


@contextmanager
def open_laboratory(folder: Path, *, more: str = "", tls: bool = True) -> Iterator[Laboratory]:
    """Open it; skips the test where a program is missing. `more` are tables of Postroom's configuration."""
    need("postfix", "postfix")
    need("unbound", "unbound")
    try:
        ours, resolver = loopback(), loopback(53)
    except PermissionError as error:
        pytest.skip(str(error))
    authority = trustme.CA()
    peers: dict[str, Peer] = {}
    domains = {"postfix": "postfix.test", "exim": "exim.test", "opensmtpd": "opensmtpd.test"}
    certificates = {name: _certificate(authority, folder, f"mx.{domain}") for name, domain in domains.items()} if tls else {}
    strict = {"smtpd_forbid_bare_newline": "normalize", "smtpd_forbid_bare_newline_exclusions": ""}  # as later versions do
    peers["postfix"] = Postfix(domains["postfix"], PEOPLE, resolver=resolver, certificate=certificates.get("postfix"), settings=strict)
    peers["exim"] = Exim(domains["exim"], PEOPLE, resolver=resolver, certificate=certificates.get("exim"))
    peers["opensmtpd"] = OpenSmtpd(domains["opensmtpd"], PEOPLE, resolver=resolver, certificate=certificates.get("opensmtpd"))
    records = _records({DOMAIN: ours} | {domains[name]: peer.address for name, peer in peers.items()})
    with ExitStack() as stack:
        stack.enter_context(_resolver(folder, resolver, records))
        for peer in peers.values():
            stack.enter_context(peer)  # type: ignore[arg-type]
        (folder / "data").mkdir()
        (folder / "data" / "postroom.toml").write_text(CONFIGURATION.format(address=ours, resolver=resolver, more=more))
        program = stack.enter_context(running(Program(["demo", "--data", str(folder / "data")], folder)))
        yield Laboratory(program, peers, domains)


def _certificate(authority: trustme.CA, folder: Path, name: str) -> tuple[Path, Path]:
    issued = authority.issue_cert(name)
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return chain, key


def _records(addresses: Mapping[str, str]) -> list[str]:
    """Write for each domain an MX, the address of its server and of that the name, and SPF."""
    records = []
    for domain, address in addresses.items():
        reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa."
        records += [f"{domain}. 60 MX 10 mx.{domain}.", f"mx.{domain}. 60 A {address}", f"{reverse} 60 PTR mx.{domain}."]
        records += [f"{domain}. 60 TXT v=spf1\\032ip4:127.0.0.0/8\\032-all"]  # all of them call from 127.0.0.1
    return records


@contextmanager
def _resolver(folder: Path, address: str, records: Sequence[str]) -> Iterator[None]:
    file, log = folder / "unbound.conf", folder / "unbound.log"
    lines = "\n".join(f"  local-data: '{record}'" for record in records)
    file.write_text(UNBOUND.format(address=address, folder=folder, records=lines))
    with log.open("wb") as output:
        process = subprocess.Popen([need("unbound", "unbound"), "-d", "-c", str(file)], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)
