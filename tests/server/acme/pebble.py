"""Pebble, Let's Encrypt's small ACME server, as a program of its own, and names that lead to this machine."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from postroom.server import certificates
from tests.interop.nameserver import Nameserver
from tests.ports import free_port

ENVIRONMENT = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_AUTHZREUSE": "0"}
"""No pauses; one nonce in five is refused for nothing, as may happen; each order is validated anew."""


@dataclass
class Pebble:
    """A running authority; `http` and `tls` are the ports where it looks whether a name is ours."""

    directory: str
    management: str
    ca: Path
    http: int
    tls: int
    nameserver: Nameserver

    def fetch(self, url: str) -> bytes:
        with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=self.ca), timeout=5) as answer:
            return answer.read()

    def root(self, folder: Path) -> Path:
        """Write the root that its certificates lead to."""
        path = folder / "root.pem"
        path.write_bytes(self.fetch(self.management + "/roots/0"))
        return path


@contextmanager
def running(folder: Path, *, names: tuple[str, ...], days: int = 90, binding: Mapping[str, str] | None = None) -> Iterator[Pebble]:
    """Run it; the names in DNS lead to this machine."""
    assert shutil.which("pebble"), "no pebble"
    folder.mkdir(exist_ok=True)
    files = certificates.local(folder / "tls", ["127.0.0.1"])
    ports = {free_port() for _ in range(20)}
    port, management, http, tls = (ports.pop() for _ in range(4))
    config = {
        "listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{management}", "httpPort": http, "tlsPort": tls,
        "certificate": str(files.certificate), "privateKey": str(files.key), "ocspResponderURL": "",
        "externalAccountBindingRequired": bool(binding), "externalAccountMACKeys": dict(binding or {}),
        "certificateValidityPeriod": days * 86_400,
    }  # fmt: skip
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    with Nameserver({(name, "A"): ["127.0.0.1"] for name in names}) as nameserver, (folder / "log").open("wb") as output:
        command = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{nameserver.port}", "-strict"]
        process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=output, stderr=subprocess.STDOUT)
        try:
            made = Pebble(f"https://127.0.0.1:{port}/dir", f"https://127.0.0.1:{management}", files.authority, http, tls, nameserver)
            _await(made, process, folder / "log")
            yield made
        finally:
            process.kill()
            process.wait()


def _await(pebble: Pebble, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            pebble.fetch(pebble.directory)
            return
        time.sleep(0.02)
    raise AssertionError(f"pebble does not answer:\n{log.read_text()}")
