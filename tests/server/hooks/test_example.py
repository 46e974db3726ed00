"""The example of a hook does what it says."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from postroom.server.hooks.calls import Calls
from postroom.server.hooks.settings import Settings
from postroom.server.hooks.worker import Hooking
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.hook_server import SECRET
from tests.mailflow.letters import letter, send
from tests.mailflow.test_flow_rules import queued
from tests.people import People
from tests.server.hooks.test_answers import LEAVING, put, waiting

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "flow_hook.py"
ALICE = "alice@example.test"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HOOK_SECRET": SECRET}
    process = subprocess.Popen([sys.executable, str(EXAMPLE), str(port)], env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("subject", "secret", "outcome"),
    [("hello", SECRET, (ALICE, "x@far.test")), ("[Secret] plans", SECRET, ("", ALICE)), ("hello", SECRET[:-4] + "AAA=", ("", ALICE))],
)
async def test_it_lets_go_what_is_no_secret(
    store: Store, people: People, clock: Clock, url: str, subject: str, secret: str, outcome: tuple[str, str]
) -> None:
    clock.now = time.time()
    put(store, replace(LEAVING, minutes=0))
    send(store, people.actor("alice"), "x@far.test", raw=letter(subject, sender=ALICE))
    await Hooking(store, Calls({"scan": Settings(url=url, secret=secret)}, None, store.now)).sweep()
    assert (queued(store), waiting(store)) == ([outcome], 0)
