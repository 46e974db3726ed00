"""Who calls: the one behind the access key that signed, and the policies that go with it."""

from __future__ import annotations

import asyncio
import hmac

import structlog

from postroom.api import sigv4
from postroom.api.caching import Recent
from postroom.api.errors import Refusal
from postroom.directory import principals
from postroom.policy.iam import signers
from postroom.policy.iam.signers import Signer
from postroom.storage.engine import REGISTRY, Store

NOTED_SECONDS = 900.0
"""How exactly the last use of a key is kept."""
MOST_NOTED = 10_000
"""How many uses are remembered; then all are forgotten, and noted once too often."""

log = structlog.get_logger("postroom.api")


class Signers:
    """Finds the signer behind a claim, and notes that its key was used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: Recent[str, Signer] = Recent()
        self._noted: dict[tuple[str, str], float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def find(self, claim: sigv4.Claim) -> Signer:
        """Find the one whose key a claim names; raises `Refusal` for a key that is unknown, inactive, expired or has another session."""
        found = self._recent.find(claim.credential.key_id) or await self._read(claim.credential.key_id)
        if found is None or not _same(found.token, claim.token):
            raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        if found.expires_at is not None and found.expires_at <= self._store.now():
            raise Refusal("ExpiredTokenException", "The security token included in the request is expired")
        return found

    def note_use(self, signer: Signer, service: str) -> None:
        """Let the registry know that a user's key was used, now and then, without waiting for it."""
        now, use = self._store.now(), (signer.key_id, service)
        if now - self._noted.get(use, -NOTED_SECONDS) < NOTED_SECONDS or signer.expires_at is not None:
            return
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted[use] = now
        task = asyncio.get_running_loop().create_task(self._note(signer.key_id, now, service))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def forget(self) -> None:
        """Read every key anew."""
        self._recent.forget()

    async def close(self) -> None:
        """Wait for what is being noted."""
        await asyncio.gather(*self._notes)

    async def _read(self, key_id: str) -> Signer | None:
        generation = self._recent.generation
        found = await self._store.look(REGISTRY, signers.find, key_id)
        if found is not None:
            self._recent.put(key_id, found, generation)
        return found

    async def _note(self, key_id: str, at: float, service: str) -> None:
        try:
            await self._store.transact(REGISTRY, principals.note_use, key_id, at, service)
        except Exception:
            log.warning("key_use_not_noted", access_key=key_id, exc_info=True)


def _same(session: str | None, token: str | None) -> bool:
    """Say whether a session token is right; a permanent key comes without one."""
    if session is None or token is None:
        return session is token
    return hmac.compare_digest(session.encode(), token.encode())
