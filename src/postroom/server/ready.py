"""The ready file: where the listeners are, written in one step once all of them accept."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


def write(path: Path, facts: Mapping[str, Any]) -> None:
    """Write one JSON object; a reader sees all of it or none. It may hold a key, so only its owner reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")
    partial.replace(path)
