"""The store that the configuration names."""

import fcntl
import os
from pathlib import Path

from postroom.server.configuration import ConfigurationError, Settings
from postroom.storage import keys
from postroom.storage.engine import Store


def keyring(settings: Settings) -> keys.LocalKeyring:
    """Open the keyring, making it at the first start."""
    return keys.LocalKeyring(Path(settings.keys.keyring))


def open_store(settings: Settings) -> Store:
    """Open the store, making it at the first start; raises ConfigurationError when its engine is not installed."""
    folder = Path(settings.data)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.storage.engine == "sqlite":
        from postroom.storage import sqlite

        return sqlite.open_store(folder, keyring(settings))
    try:
        from postroom.storage import postgres
    except ImportError as error:
        raise ConfigurationError(f'[storage] engine = "postgresql" needs the package psycopg[binary] ({error})') from None
    return postgres.open_store(settings.storage.dsn, folder, keyring(settings))


def serve_alone(settings: Settings) -> None:
    """Hold an embedded store for this process until it ends; raises ConfigurationError where another one serves it.

    The tools that read and mend beside a running server do not take this lock.
    """
    if settings.storage.engine != "sqlite":
        return
    folder = Path(settings.data)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "serving.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(f"Another process already serves {folder}.") from None
