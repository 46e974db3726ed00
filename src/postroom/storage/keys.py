"""Keys: every organization has a data key of its own, wrapped by a provider for a key ARN.

From the data key come three others by HKDF: for the database file, for blob files, for the names of
contents. Shredding the wrapped key makes all three unreachable.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from postroom.model import errors

KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """A fresh data key: `plain` to use now, `wrapped` to store."""

    plain: bytes
    wrapped: bytes


class KeyProvider(Protocol):
    """Wraps and unwraps data keys; may ask a network, so never inside a transaction."""

    def new_data_key(self, key_arn: str | None) -> DataKey:
        """Make a data key under the key of that ARN (None: the provider's own)."""

    def unwrap(self, wrapped: bytes, key_arn: str | None) -> bytes:
        """Give the data key back; raises `DirectoryUnavailable` when the key cannot be used."""

    def registry_key(self) -> bytes:
        """Give the key of the registry database."""


def derive(key: bytes, purpose: str) -> bytes:
    """Derive a 32-byte key for one purpose (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"postroom {purpose}".encode()).derive(key)


class LocalKeyring:
    """A master key in a file readable by its owner alone; wraps with AES-256-GCM bound to the key ARN.

    Raises `OSError` or `ValueError` when the file is there and cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._master = _load_or_create(path)

    def new_data_key(self, key_arn: str | None) -> DataKey:
        """Make a data key under the key of that ARN (None: the keyring's own)."""
        plain, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        return DataKey(plain, nonce + self._cipher(key_arn).encrypt(nonce, plain, _context(key_arn)))

    def unwrap(self, wrapped: bytes, key_arn: str | None) -> bytes:
        """Give the data key back; raises `DirectoryUnavailable` when this keyring did not wrap it."""
        try:
            return self._cipher(key_arn).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _context(key_arn))
        except InvalidTag:
            raise errors.DirectoryUnavailable("The keyring does not hold the organization's key.") from None

    def registry_key(self) -> bytes:
        """Give the key of the registry database."""
        return derive(self._master, "registry")

    def _cipher(self, key_arn: str | None) -> AESGCM:
        return AESGCM(derive(self._master, f"wrap {key_arn or ''}"))


def _context(key_arn: str | None) -> bytes:
    return (key_arn or "").encode()


def _load_or_create(path: Path) -> bytes:
    """Give the master key of a file; of several processes that find none there, one makes it for all."""
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"version": 1, "master": secrets.token_bytes(KEY_BYTES).hex()}, file)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(partial, path)  # unlike a rename, never over another's
    partial.unlink()
    fsync_folder(path.parent)
    return _load(path)


def _load(path: Path) -> bytes:
    try:
        master = bytes.fromhex(json.loads(path.read_text())["master"])
    except (ValueError, KeyError, TypeError):
        master = b""
    if len(master) != KEY_BYTES:
        raise ValueError(f"{path} is not a keyring")
    return master


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
