"""Watching what is made durable, and openings that take their time."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from postroom.storage.sessions import Session
from postroom.storage.store import EngineStore


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of files and folders in the order of their fsyncs from here on."""
    paths: list[str] = []
    fsync = os.fsync

    def recording(descriptor: int) -> None:
        paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    return paths


@dataclass
class Opening:
    """An opening of a scope under way: `begun` is set when it has begun, and it goes on when `go_on` is."""

    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hold_openings() -> Callable[[EngineStore], Opening]:
    """Make a store hold every opening of a scope until it is let go on."""

    def hold(store: EngineStore) -> Opening:
        opening, open_scope = Opening(), store._engine.open

        def slowly(scope: int, key: bytes) -> Callable[[], Session]:
            opening.begun.set()
            opening.go_on.wait(10)
            return open_scope(scope, key)

        store._engine.open = slowly  # type: ignore[method-assign]
        return opening

    return hold
