"""Filling a stopped server's directory with people, thousands in one transaction.

Through the API 100,000 users would take minutes of a run; so the package's own directory writes them, the same rows the API writes.
"""

from __future__ import annotations

from pathlib import Path

from bench import ours

CHUNK = 2_000
ROOM = 1_000_000
"""How many users the server takes after a directory has been filled."""


def fill(folder: Path, count: int) -> None:
    """Make users in the demo organization of `folder`, whose server is not running."""
    from postroom.directory import users
    from postroom.storage import keys, sqlite

    data = ours.data_folder(folder)
    store = sqlite.open_store(data, keys.LocalKeyring(data / "keyring.json"))
    try:
        scope = store.scopes()[0]
        for first in range(0, count, CHUNK):
            with store.transaction(scope) as tx:
                for number in range(first, min(first + CHUNK, count)):
                    users.create(tx, name=f"person{number:06d}", display_name=f"Person {number:06d}")
    finally:
        store.close()
    settings = data / "postroom.toml"
    settings.write_text(settings.read_text().replace("[api]\n", f"[api]\nusers = {ROOM}\n"))
