"""Debian packages that cannot be installed beside Postfix, unpacked by tools/bootstrap.py instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import isolation

PEERS = Path(__file__).resolve().parents[2] / ".venv" / "peers"


def need(program: str, package: str) -> Path:
    """Return the path of a program; skip the test where its package has not been unpacked or cannot be run."""
    isolation.need_root()
    path = PEERS / program
    if not path.exists():
        pytest.skip(f"{package} has not been unpacked (tools/bootstrap.py dev --system)")
    return path
