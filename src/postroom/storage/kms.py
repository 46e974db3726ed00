"""Data keys that a key service wraps, for the organizations that name a key there; the local keyring wraps all others.

A wrapped key says by its first bytes who has wrapped it, so organizations of both kinds live side by side, and one that was made before the
service was set up goes on. While the service does not open a key its organization cannot be read, whoever asks, and the others can.

What the service has said is remembered for minutes, since an organization is opened again and again; a refusal for seconds. Few threads
wait for it at a time, and the others not for long, so a service that does not answer holds no more of the storage's threads than these.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from postroom.model import errors
from postroom.storage.keys import DataKey, KeyProvider

MARK = b"kms\x01"
LOCAL_BYTES = 60
"""What the local keyring makes of a data key; these begin with chance, so their length tells, not the mark."""
REMEMBERED_SECONDS = 300.0
REFUSED_SECONDS = 10.0
ASKED_AT_ONCE = 2
WAIT_SECONDS = 1.0
"""How long others wait for their turn to ask."""
REMEMBERED = 1000


class KeyService(Protocol):
    """Where keys are that never leave it."""

    def generate(self, key_arn: str) -> tuple[bytes, bytes]:
        """Make a data key, plain and wrapped; raises `InvalidParameter` and `DirectoryUnavailable`."""

    def decrypt(self, wrapped: bytes, key_arn: str) -> bytes:
        """Unwrap a data key; raises `TryLater` while the key cannot be used."""


class ServiceKeys:
    """The `KeyProvider` over the local keyring and, if there is one, a service."""

    def __init__(self, local: KeyProvider, service: KeyService | None) -> None:
        self._local = local
        self._service = service
        self._known: dict[bytes, tuple[float, bytes | errors.TryLater]] = {}
        self._turn = threading.Lock()
        self._asking = threading.BoundedSemaphore(ASKED_AT_ONCE)

    def new_data_key(self, key_arn: str | None) -> DataKey:
        """Make a data key under the key of that ARN (None: the local keyring's own)."""
        if key_arn is None or self._service is None:
            return self._local.new_data_key(key_arn)
        plain, wrapped = self._service.generate(key_arn)
        made = DataKey(plain, MARK + wrapped)
        self._remember(made.wrapped, plain, REMEMBERED_SECONDS)
        return made

    def unwrap(self, wrapped: bytes, key_arn: str | None) -> bytes:
        """Give the data key back; raises `TryLater` while the service does not, `DirectoryUnavailable` when the keyring cannot."""
        if len(wrapped) == LOCAL_BYTES or not wrapped.startswith(MARK) or key_arn is None:
            return self._local.unwrap(wrapped, key_arn)
        known = self._remembered(wrapped) or self._in_turn(wrapped, key_arn)
        if isinstance(known, errors.TryLater):
            raise errors.TryLater(known.text)
        return known

    def registry_key(self) -> bytes:
        """Give the key of the registry database, which is the local keyring's."""
        return self._local.registry_key()

    def _in_turn(self, wrapped: bytes, key_arn: str) -> bytes | errors.TryLater:
        """Ask, unless somebody has who was first in the line."""
        if not self._asking.acquire(timeout=WAIT_SECONDS):
            return errors.TryLater(f"AWS KMS does not answer, which holds the organization's key ({key_arn}).")
        try:
            return self._remembered(wrapped) or self._ask(wrapped, key_arn)
        finally:
            self._asking.release()

    def _ask(self, wrapped: bytes, key_arn: str) -> bytes | errors.TryLater:
        if self._service is None:
            return errors.TryLater(f"The organization's key is in AWS KMS ({key_arn}), which this server is not set up to ask.")
        found: bytes | errors.TryLater
        try:
            found, seconds = self._service.decrypt(wrapped.removeprefix(MARK), key_arn), REMEMBERED_SECONDS
        except errors.TryLater as error:
            found, seconds = error, REFUSED_SECONDS
        self._remember(wrapped, found, seconds)
        return found

    def _remember(self, wrapped: bytes, found: bytes | errors.TryLater, seconds: float) -> None:
        with self._turn:
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[wrapped] = (time.monotonic() + seconds, found)

    def _remembered(self, wrapped: bytes) -> bytes | errors.TryLater | None:
        with self._turn:
            until, found = self._known.get(wrapped, (0.0, None))
            if until <= time.monotonic():
                self._known.pop(wrapped, None)
                return None
            return found
