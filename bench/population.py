"""Filling a stopped server's directory with people, thousands in one transaction.

Through the API 100,000 users would take minutes of a run; so the package's own directory writes them, the same rows the API writes.
"""

from __future__ import annotations

from pathlib import Path

from bench import ours

CHUNK = 2_000


def fill(folder: Path, start: int, stop: int) -> None:
    """Make users number `start` up to, not including, `stop` in the demo organization of `folder`, whose server is not running."""
    from postroom.directory import users
    from postroom.storage import keys, sqlite

    data = ours.data_folder(folder)
    store = sqlite.open_store(data, keys.LocalKeyring(data / "keyring.json"))
    try:
        scope = store.scopes()[0]
        for first in range(start, stop, CHUNK):
            with store.transaction(scope) as tx:
                for number in range(first, min(first + CHUNK, stop)):
                    users.create(tx, name=f"person{number:06d}", display_name=f"Person {number:06d}")
    finally:
        store.close()
