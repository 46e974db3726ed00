"""The store that the configuration names."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from postroom.aws.clients import Aws
from postroom.aws.keys import KeyService
from postroom.model import errors
from postroom.server.configuration import ConfigurationError
from postroom.server.settings import Settings
from postroom.storage import keys
from postroom.storage.engine import Store
from postroom.storage.kms import ServiceKeys
from postroom.storage.migrations import NewerSchema


def keyring(settings: Settings) -> keys.LocalKeyring:
    """Open the keyring, making it at the first start and never beside data; raises ConfigurationError."""
    path = Path(settings.keys.keyring)
    try:
        if not path.exists() and (Path(settings.data) / "registry.db").exists():
            raise ConfigurationError(f"The keyring {path} is gone. Without it nothing can be read: put its copy back.")
        return keys.LocalKeyring(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"[keys] keyring: {error}") from None


def key_service(settings: Settings) -> KeyService | None:
    """Give AWS KMS where the settings let organizations have their keys there; raises ConfigurationError."""
    if not settings.keys.kms:
        return None
    if not settings.aws.enabled:
        raise ConfigurationError("[keys] kms needs [aws] enabled")
    try:
        return KeyService(Aws(settings.aws, settings.api.region))
    except errors.InvalidConfiguration as error:
        raise ConfigurationError(error.text) from None


def open_store(settings: Settings) -> Store:
    """Open the store, making it at the first start; raises ConfigurationError when it cannot be used."""
    folder = _folder(settings)
    path = Path(settings.keys.keyring)
    new = not path.exists()
    ring = ServiceKeys(keyring(settings), key_service(settings))
    try:
        return _embedded(folder, ring) if settings.storage.engine == "sqlite" else _postgres(settings.storage.dsn, folder, ring)
    except errors.DirectoryUnavailable:
        if new:
            path.unlink()
        raise ConfigurationError(
            f"The keyring {path} is {'gone' if new else 'another'}. Without it nothing can be read: put its copy back."
        ) from None
    except NewerSchema as error:
        raise ConfigurationError(f"The data cannot be served. {error}") from None


def _embedded(folder: Path, ring: keys.KeyProvider) -> Store:
    from postroom.storage import sqlite

    try:
        store = sqlite.open_store(folder, ring)
        store.scopes()  # does the keyring open it?
    except sqlite.Failure as error:
        raise ConfigurationError(f"{folder} cannot be read ({error}). Is the keyring the one it was made with?") from error
    return store


def _postgres(dsn: str, folder: Path, ring: keys.KeyProvider) -> Store:
    try:
        from postroom.storage import postgres
    except ImportError as error:
        raise ConfigurationError(f'[storage] engine = "postgresql" needs the package psycopg[binary] ({error})') from None
    try:
        store = postgres.open_store(dsn, folder, ring)
    except postgres.Failure as error:
        raise ConfigurationError(f"[storage] dsn: {' '.join(str(error).split())}") from error
    try:
        for scope in store.scopes()[:1]:
            with suppress(errors.TryLater):  # a key service that does not open one organization is no reason to leave the others
                store.blobs(scope)  # does the keyring open it?
    except errors.DirectoryUnavailable:
        store.close()
        raise
    return store


def serve_alone(settings: Settings) -> None:
    """Hold an embedded store for this process until it ends; raises ConfigurationError where another one serves it.

    The tools that read and mend beside a running server do not take this lock.
    """
    if settings.storage.engine != "sqlite":
        return
    folder = _folder(settings)
    try:
        descriptor = os.open(folder / "serving.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"data: {error}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(f"Another process already serves {folder}.") from None


def _folder(settings: Settings) -> Path:
    folder = Path(settings.data)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"data: {error}") from None
    return folder
