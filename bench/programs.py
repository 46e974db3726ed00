"""Starting other people's programs, waiting until they answer, weighing them and ending them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Address = tuple[str, int]


class BenchError(Exception):
    """A measurement that cannot be made: a program did not start, or stopped; the text says which and where its log is."""


@dataclass(frozen=True, slots=True)
class Weight:
    """Memory of a process and all it started, in MB: resident, and proportional (shared pages split among their users)."""

    resident: float
    proportional: float
    processes: int


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: Sequence[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program in its own session with its output in `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=dict(env) if env else None,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], grace: float = 10.0) -> None:
    """End a program started here: SIGTERM, then SIGKILL after `grace` seconds."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_port(address: Address, process: subprocess.Popen[bytes] | None, log: Path, seconds: float = 30.0) -> None:
    """Wait until something accepts at `address`; raise BenchError when the program ended or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(address, 1.0):
            return
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.05)
    raise BenchError(f"nothing answers at {address[0]}:{address[1]}\n{tail(log)}")


def tail(log: Path, lines: int = 15) -> str:
    """Give the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else f"(no log at {log})"


def weigh(root: int) -> Weight:
    """Add up the memory of process `root` and its descendants (proc_pid_smaps_rollup)."""
    found = [_rollup(pid) for pid in family(root)]
    weights = [weight for weight in found if weight]
    return Weight(sum(w[0] for w in weights) / 1024, sum(w[1] for w in weights) / 1024, len(weights))


def family(root: int) -> list[int]:
    """List a process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def processor_seconds(root: int) -> float:
    """Give the processor time a process and its living descendants have used, in seconds."""
    ticks = 0
    for pid in family(root):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _rollup(pid: int) -> tuple[int, int] | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return sizes.get("Rss", 0), sizes.get("Pss", 0)
