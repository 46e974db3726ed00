"""Run the tests in parallel, then say what this machine could not test: `run_tests.py [pytest arguments]`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {"swaks": "swaks", "mbsync": "isync", "mutt": "mutt", "postfix": "postfix", "dovecot": "dovecot-imapd"}
WORKERS = 4
"""More than cores: much of the suite waits for disks and clients."""


def missing() -> list[str]:
    """List the Debian packages whose programs the interop tests would drive."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)]


def main(arguments: list[str]) -> int:
    """Run pytest; its exit status is ours. `-n 0` runs in one process."""
    parallel = [] if any(argument.startswith("-n") for argument in arguments) else ["-n", str(WORKERS), "--dist", "loadfile"]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    command = [sys.executable, "-m", "pytest", "-q", *parallel, *arguments]
    status = subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=False).returncode
    if absent := missing():
        print(f"Not installed, so the tests that drive them were skipped: {', '.join(absent)}.")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
