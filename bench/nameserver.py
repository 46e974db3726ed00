"""Debian's Unbound as the name server of both sides: it answers from memory, so that DNS costs each of them the same and little."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import programs

CONFIGURATION = """\
server:
  interface: {address}
  port: 53
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  logfile: ""
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  num-threads: 1
  module-config: "iterator"
remote-control:
  control-enable: no
"""

Zone = Mapping[tuple[str, str], Sequence[str]]


@contextlib.contextmanager
def running(folder: Path, zone: Zone) -> Iterator[str]:
    """Serve `{("sender.test", "MX"): ["10 mx.sender.test."]}` and nothing else; give the address, whose port is 53."""
    folder.mkdir(mode=0o755, parents=True)
    address = _free_address()
    (folder / "unbound.conf").write_text(CONFIGURATION.format(address=address, folder=folder) + _local(zone))
    process = programs.start(["/usr/sbin/unbound", "-d", "-c", str(folder / "unbound.conf")], folder / "unbound.log")
    try:
        programs.await_port((address, 53), process, folder / "unbound.log")
        yield address
    finally:
        programs.stop(process)


def _local(zone: Zone) -> str:
    """Write a zone as Unbound's local data; whatever else stands under its last labels does not exist."""
    lines = ["server:"]
    lines += [f'  local-zone: "{top}." static' for top in sorted({name.rpartition(".")[2] for name, _ in zone})]
    for (name, kind), values in zone.items():
        lines += [f"  local-data: '{name}. 3600 IN {kind} {_value(kind, value)}'" for value in values]
    return "\n".join(lines) + "\n"


def _value(kind: str, value: str) -> str:
    if kind != "TXT":
        return value
    return " ".join(f'"{value[start : start + 250]}"' for start in range(0, len(value), 250))


def _free_address() -> str:
    while True:
        address = f"127.{random.randint(64, 250)}.{random.randint(0, 255)}.{random.randint(2, 250)}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, 53))
            return address
