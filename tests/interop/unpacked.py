"""Debian packages that cannot be installed beside Postfix, unpacked by tools/bootstrap.py instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PEERS = Path(__file__).resolve().parents[2] / ".venv" / "peers"


def need(program: str, package: str) -> Path:
    """Return the path of a program; skip the test where its package has not been unpacked or cannot be run."""
    if os.geteuid() != 0:
        pytest.skip("only root may give a program its own view of the machine")
    path = PEERS / program
    if not path.exists():
        pytest.skip(f"{package} has not been unpacked (tools/bootstrap.py dev --system)")
    return path
