"""Run the tests, then say what this machine could not test: `run_tests.py [pytest arguments]`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {"swaks": "swaks", "mbsync": "isync", "mutt": "mutt", "postfix": "postfix", "dovecot": "dovecot-imapd", "slapd": "slapd"}
HOSTILE = ROOT / "tests" / "hostile"
TALKING = ("test_smuggling.py", "test_chunks.py", "test_early_replies.py")
"""Hostile tests that mostly wait, and measure nothing."""
WORKERS = 4
"""More than cores: much of the suite waits for disks and clients."""


def missing() -> list[str]:
    """List the Debian packages whose programs the interop tests would drive."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)]


def run(*arguments: str) -> int:
    """Run pytest once."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=False).returncode


def main(arguments: list[str]) -> int:
    """Run the tests that are named, or all: most in parallel, then alone those that measure times and memory."""
    if arguments:
        return run(*arguments)
    measuring = [str(path) for path in sorted(HOSTILE.glob("test_*.py")) if path.name not in TALKING]
    parallel = run("-n", str(WORKERS), "--dist", "loadfile", *(f"--ignore={path}" for path in measuring))
    alone = run(*measuring)
    if absent := missing():
        print(f"Not installed, so the tests that drive them were skipped: {', '.join(absent)}.")
    return parallel or alone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
