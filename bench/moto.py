"""moto's server, the peer of the administration API: other people's Python answering AWS calls, in memory."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import programs


@contextlib.contextmanager
def running(folder: Path) -> Iterator[programs.Address]:
    """Run moto's server in a process of its own; give its address."""
    address = ("127.0.0.1", programs.free_port())
    log = folder / "moto.log"
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    process = programs.start(
        [sys.executable, "-m", "moto.server", "-H", address[0], "-p", str(address[1])], log, cwd=folder, env=environment
    )
    try:
        programs.await_port(address, process, log, 60.0)
        yield address
    finally:
        programs.stop(process)
