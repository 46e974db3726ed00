"""Who calls: the access key that signed, the policy that goes with it."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass

import structlog

from postroom.api import sigv4
from postroom.api.caching import Recent
from postroom.api.errors import Refusal
from postroom.directory import principals
from postroom.directory.principals import KeyStatus
from postroom.policy import iam
from postroom.policy.iam import Policy
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries.principals import AccessKey

NOTED_SECONDS = 900.0
"""How exactly the last use of a key is kept."""

log = structlog.get_logger("postroom.api")


@dataclass(frozen=True, slots=True)
class Principal:
    """A usable access key with its compiled policy."""

    key: AccessKey
    policy: Policy


class Principals:
    """Finds the principal behind a claim, and notes that its key was used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: Recent[str, Principal] = Recent()
        self._noted: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def find(self, claim: sigv4.Claim) -> Principal:
        """Find the principal whose key a claim names; raises `Refusal` for one that is unknown, inactive or has another session."""
        found = self._recent.find(claim.credential.key_id) or await self._read(claim.credential.key_id)
        if found is None or found.key.status != KeyStatus.ACTIVE or not _same(found.key.session_token, claim.token):
            raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        return found

    def note_use(self, key_id: str) -> None:
        """Let the registry know that a key was used, now and then, without waiting for it."""
        now = self._store.now()
        if now - self._noted.get(key_id, -NOTED_SECONDS) < NOTED_SECONDS:
            return
        self._noted[key_id] = now
        task = asyncio.get_running_loop().create_task(self._note(key_id, now))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def forget(self) -> None:
        """Read every key anew."""
        self._recent.forget()

    async def close(self) -> None:
        """Wait for what is being noted."""
        await asyncio.gather(*self._notes)

    async def _read(self, key_id: str) -> Principal | None:
        generation = self._recent.generation
        key = await self._store.look(REGISTRY, principals.find, key_id)
        if key is None:
            return None
        principal = Principal(key, iam.parse(key.policy))
        self._recent.put(key_id, principal, generation)
        return principal

    async def _note(self, key_id: str, at: float) -> None:
        try:
            await self._store.transact(REGISTRY, principals.note_use, key_id, at)
        except Exception:
            log.warning("key_use_not_noted", access_key=key_id, exc_info=True)


def _same(session: str | None, token: str | None) -> bool:
    """Say whether a session token is right; a permanent key comes without one."""
    if session is None or token is None:
        return session is token
    return hmac.compare_digest(session.encode(), token.encode())
