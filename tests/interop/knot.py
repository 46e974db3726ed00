"""A private Knot, an authoritative name server, for zones given as lines of zone files, and an Unbound that validates what it says."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype

from tests.interop.tools import need
from tests.ports import free_port

ZONES = ("test.", "127.in-addr.arpa.", "2.0.192.in-addr.arpa.")
START = "$TTL 60\n@ SOA ns.invalid. postmaster.invalid. {serial} 3600 600 86400 60\n@ NS ns.invalid.\n"
CONFIGURATION = """\
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
log:
  - target: "{folder}/log"
    any: info
database:
    storage: "{folder}/db"
template:
  - id: default
    storage: "{folder}"
    dnssec-signing: {signing}
    zonefile-load: whole
zone:
{zones}
"""
UNBOUND = """\
server:
  interface: {address}
  port: {port}
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-not-query-localhost: no
  trust-anchor: "{anchor}"
  local-zone: "test." nodefault
remote-control:
  control-enable: no
stub-zone:
  name: "test."
  stub-addr: 127.0.0.1@{upstream}
"""


class Knot:
    """One instance, a context manager; `publish` replaces all that it serves."""

    def __init__(self, folder: Path, *, signing: bool = False, zones: Sequence[str] = ZONES) -> None:
        self.program = need("knotd", "knot")
        self.folder = folder
        (folder / "db").mkdir(exist_ok=True)
        self.port = free_port()
        self.signing = signing
        self.zones = zones
        self._process: subprocess.Popen[bytes] | None = None
        self._serial = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def publish(self, lines: Sequence[str]) -> None:
        """Serve these lines and nothing else."""
        self._serial += 100  # signing counts on, too
        for zone in self.zones:
            ours = [line for line in lines if line.split(" ", 1)[0].lower().endswith(zone)]
            (self.folder / f"{zone}zone").write_text(START.format(serial=self._serial) + "\n".join([*ours, ""]))
        told = "\n".join(f'  - domain: "{zone}"\n    file: "{zone}zone"' for zone in self.zones)
        text = CONFIGURATION.format(folder=self.folder, port=self.port, signing="on" if self.signing else "off", zones=told)
        (self.folder / "knot.conf").write_text(text)
        if self._process is None:
            with (self.folder / "output").open("ab") as output:
                self._process = subprocess.Popen([self.program, "-c", str(self.folder / "knot.conf")], stdout=output, stderr=output)
        else:
            self._process.send_signal(signal.SIGHUP)
        for zone in self.zones:
            await_answer(self.port, self._process, zone, serial=self._serial)

    def __enter__(self) -> Knot:
        self.publish([])
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


def await_answer(
    port: int, process: subprocess.Popen[bytes], zone: str = "test.", kind: str = "SOA", *, serial: int = 0, address: str = "127.0.0.1"
) -> dns.message.Message:
    """Return what a name server says of a zone, once it says anything, and that is of this serial number or a later one."""
    end = time.monotonic() + 20
    query = dns.message.make_query(zone, kind, want_dnssec=kind == "DNSKEY")
    while time.monotonic() < end:
        assert process.poll() is None, "the name server has ended"
        try:
            answer = dns.query.udp(query, address, port=port, timeout=0.3)
        except (OSError, dns.exception.DNSException):
            answer = dns.message.Message()
        if answer.answer and (kind != "SOA" or answer.answer[0][0].serial >= serial):
            return answer
        time.sleep(0.01)
    raise AssertionError("no name server answers")


@contextmanager
def validator(knot: Knot, folder: Path, *, address: str = "127.0.0.1", port: int = 0, upstream: int = 0) -> Iterator[str]:
    """Run a resolver that validates what a signing Knot says, at a free port or another; gives its address.

    What it asks goes to the Knot itself, or to another port at which somebody stands in the way.
    """
    assert knot._process
    keys = await_answer(knot.port, knot._process, kind="DNSKEY").find_rrset(
        dns.message.ANSWER, dns.name.from_text("test."), dns.rdataclass.IN, dns.rdatatype.DNSKEY
    )
    port = port or free_port()
    anchor = next(f"test. IN DNSKEY {key.to_text()}" for key in keys if key.flags & 1)
    text = UNBOUND.format(address=address, port=port, folder=folder, anchor=anchor, upstream=upstream or knot.port)
    (folder / "unbound.conf").write_text(text)
    with (folder / "unbound.log").open("wb") as output:
        process = subprocess.Popen([need("unbound", "unbound"), "-d", "-c", str(folder / "unbound.conf")], stdout=output, stderr=output)
    try:
        await_answer(port, process, address=address)
        yield f"{address}:{port}"
    finally:
        process.terminate()
        process.wait(10)
