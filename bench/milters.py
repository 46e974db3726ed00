"""Debian's OpenDKIM, OpenDMARC and policyd-spf: what Postfix needs beside it to know who sent a letter, and to sign its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import programs
from tests.interop import isolation

OPENDKIM = """\
Mode {mode}
Socket inet:{port}@127.0.0.1
UserID root
Syslog no
Canonicalization relaxed/relaxed
Nameservers {resolver}
InternalHosts {folder}/internal
ExternalIgnoreList {folder}/internal
AuthservID mx.bench.test
RequireSafeKeys no
"""
SIGNING = """\
Domain {domain}
Selector {selector}
KeyFile {key}
"""
OPENDMARC = """\
AuthservID mx.bench.test
TrustedAuthservIDs mx.bench.test
Socket inet:{port}@127.0.0.1
UserID root
Syslog false
RejectFailures true
IgnoreHosts {folder}/ignored
SPFSelfValidate false
"""
SPF = """\
debugLevel = 0
HELO_reject = Fail
Mail_From_reject = Fail
PermError_reject = False
TempError_Defer = False
skip_addresses = 192.0.2.1/32
Header_Type = AR
Authserv_Id = mx.bench.test
"""


@dataclass(frozen=True, slots=True)
class Signing:
    """The domain and selector to sign for, and the file of the private key."""

    domain: str
    selector: str
    key: Path


def verifying(folder: Path, resolver: str) -> contextlib.AbstractContextManager[str]:
    """Run OpenDKIM that checks signatures; give its socket as Postfix names it."""
    return _opendkim(folder, resolver, None)


def signing(folder: Path, resolver: str, signing: Signing) -> contextlib.AbstractContextManager[str]:
    """Run OpenDKIM that signs what comes from the loopback; give its socket as Postfix names it."""
    return _opendkim(folder, resolver, signing)


@contextlib.contextmanager
def _opendkim(folder: Path, resolver: str, signing: Signing | None) -> Iterator[str]:
    folder.mkdir(mode=0o755, parents=True)
    port = programs.free_port()
    text = OPENDKIM.format(mode="s" if signing else "v", port=port, resolver=resolver, folder=folder)
    if signing:
        text += SIGNING.format(domain=signing.domain, selector=signing.selector, key=signing.key)
    (folder / "internal").write_text("127.0.0.0/8\n" if signing else "192.0.2.1\n")  # who is internal is signed for, not checked
    (folder / "opendkim.conf").write_text(text)
    with _started(["/usr/sbin/opendkim", "-f", "-x", str(folder / "opendkim.conf")], folder, port):
        yield f"inet:127.0.0.1:{port}"


@contextlib.contextmanager
def dmarc(folder: Path, resolver: str) -> Iterator[str]:
    """Run OpenDMARC, which refuses what fails; give its socket as Postfix names it."""
    folder.mkdir(mode=0o755, parents=True)
    port = programs.free_port()
    (folder / "ignored").write_text("192.0.2.1\n")  # the loopback, if nothing is said
    (folder / "opendmarc.conf").write_text(OPENDMARC.format(port=port, folder=folder))
    command = ["/usr/sbin/opendmarc", "-f", "-c", str(folder / "opendmarc.conf")]
    with _started(isolation.command(command, folder, files=isolation.resolver(resolver)), folder, port):
        yield f"inet:127.0.0.1:{port}"


def spf_policy(folder: Path) -> str:
    """Write the configuration of policyd-spf; give its line of master.cf, by the name `policyd-spf`."""
    (folder / "policyd-spf.conf").write_text(SPF)
    return f"policyd-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf {folder}/policyd-spf.conf\n"


def versions() -> str:
    """Name the versions of all three."""
    packages = ("opendkim", "opendmarc", "postfix-policyd-spf-python")
    said = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages], capture_output=True, text=True, check=True)
    return said.stdout.rstrip(", ")


@contextlib.contextmanager
def _started(command: list[str], folder: Path, port: int) -> Iterator[None]:
    process = programs.start(command, folder / "output.log")
    try:
        programs.await_port(("127.0.0.1", port), process, folder / "output.log")
        yield
    finally:
        programs.stop(process)
