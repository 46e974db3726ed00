"""Logs that cannot be written."""

import subprocess
import sys

SCRIPT = """
import logging, structlog
from postroom.server import logs

logs.configure(format={format!r}, stream=open("/dev/full", "w"))
for _ in range(3):
    structlog.get_logger("room").error("event", text="x" * 20_000)
    logging.getLogger("library").error("message")
print("alive")
"""


def test_a_full_disk_costs_the_line_and_nothing_else():
    """The store, for one, logs that it could not commit, and then has to tell those who wait."""
    for kind in ("json", "console"):
        ended = subprocess.run([sys.executable, "-c", SCRIPT.format(format=kind)], capture_output=True, text=True, check=False)
        assert ended.stdout == "alive\n", ended.stderr
