"""What the figures were taken on, and what must be there to take them."""

from __future__ import annotations

import datetime
import importlib.util
import os
import platform
import resource
import shutil
import statistics
import time
from pathlib import Path

PEER_PROGRAMS = {
    "dovecot-imapd": Path("/usr/lib/dovecot/imap"),
    "dovecot-lmtpd": Path("/usr/lib/dovecot/lmtp"),
    "opendkim": Path("/usr/sbin/opendkim"),
    "opendmarc": Path("/usr/sbin/opendmarc"),
    "postfix": Path("/usr/sbin/postfix"),
    "postfix-policyd-spf-python": Path("/usr/bin/policyd-spf"),
    "unbound": Path("/usr/sbin/unbound"),
}


def missing_packages(*packages: str) -> str:
    """Say which Debian packages must be installed for a part, or give an empty text."""
    absent = [name for name in packages if not PEER_PROGRAMS[name].exists()]
    if absent:
        return f"not installed here: apt install {' '.join(absent)}"
    if packages and os.geteuid() != 0:
        return f"private instances of {', '.join(packages)} need root"
    return ""


def missing_moto() -> str:
    """Say how to install moto's server, or give an empty text."""
    if importlib.util.find_spec("moto") and importlib.util.find_spec("flask"):
        return ""
    return "not installed here: pip install 'moto[server]'"


def describe(folder: Path) -> dict[str, str]:
    """Describe the machine and the disk that holds both sides' data."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cpus": str(os.cpu_count()),
        "processor": _processor(),
        "data on": f"{_filesystem(folder)}, write + fdatasync of 13 KB {_sync_time(folder) * 1000:.2f} ms (median of 100)",
        "busy": f"load average {os.getloadavg()[0]:.1f} before the run; figures are only good on a machine that does nothing else",
        "free disk": f"{shutil.disk_usage(folder).free // 10**9} GB",
    }


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the soft limit of open files as far as the hard one allows; give the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _filesystem(folder: Path) -> str:
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if folder.resolve().is_relative_to(where) and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]


def _sync_time(folder: Path) -> float:
    probe = folder / "sync-probe"
    times = []
    with probe.open("wb", buffering=0) as file:
        for _ in range(100):
            start = time.perf_counter()
            file.write(b"x" * 13_000)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    probe.unlink()
    return statistics.median(times)
