"""The one place where a waiting client proves who it is: look up, verify off the loop, remember, slow down guessers.

Verifying costs tens of milliseconds by design, and mail clients sign in all the time, so the outcome of a check is remembered for five
minutes under a keyed digest of user name and password, together with the stored hash it was checked against: a new password makes
it worthless at once. Right or wrong, equal credentials that arrive together are checked once; a phone that repeats an old password
counts as one failure, not as an attack. Of personal access tokens nothing is remembered: to look one up is all there is to do.
"""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import structlog
from prometheus_client import Counter

from postroom.directory import outside
from postroom.directory.outside import Directories
from postroom.model import errors
from postroom.model.actors import Actor, Client, Credentials
from postroom.policy import outside_passwords, passwords, sign_in, tokens
from postroom.policy.settings import Settings
from postroom.policy.sign_in import Candidate, Denial
from postroom.policy.throttle import Throttle
from postroom.storage.engine import REGISTRY, Store

REMEMBERED_SECONDS = 300.0
REFUSED_SECONDS = 60.0
"""How long a password that an outside directory has turned down is not shown to it again, lest it lock the user."""
UNANSWERED_SECONDS = 30.0
"""How long one counts as the same failure while the directory is out of reach."""
MAX_REMEMBERED = 50_000
MAX_WAITING = 512
LONGEST_NAME = 320
LONGEST_NAMES = 2 * LONGEST_NAME + 1
"""Letters of a user name that holds the name of another."""
LONGEST_PASSWORD = 1024

SIGN_INS = Counter("postroom_policy_sign_ins", "Sign-ins by protocol and outcome", ["protocol", "outcome"])
log = structlog.get_logger("postroom.policy")

Digest = bytes


class Authenticator:
    """Signs clients in; belongs to one event loop. `clock` is any steady clock in seconds."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        settings: Settings | None = None,
        directories: Directories | None = None,
    ) -> None:
        self._store = store
        self._directories = directories or {}
        self._unanswered: OrderedDict[Digest, float] = OrderedDict()
        self._settings = settings or Settings()
        self._clock = clock
        self._throttle = Throttle(clock)
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[Digest, tuple[str, bool, float]] = OrderedDict()
        self._running: dict[tuple[Digest, str], asyncio.Task[bool]] = {}
        self._lanes = asyncio.Semaphore(passwords.LANES)
        self._binding = asyncio.Semaphore(outside_passwords.LANES)
        self._noting: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Wait for what is being noted."""
        await asyncio.gather(*self._noting.values())

    async def authenticate(self, credentials: Credentials, client: Client) -> Actor:
        """Say who acts; raises `SignInFailed` with one text for every reason, or `TryLater`."""
        try:
            actor, why = await self._attempt(credentials, client)
        except errors.TryLater:
            SIGN_INS.labels(client.protocol.value, "throttled").inc()
            raise
        if actor is None:
            SIGN_INS.labels(client.protocol.value, "failed").inc()
            name = credentials.username[:LONGEST_NAMES]
            rules = {"rules": list(why.rules)} if why.rules else {}
            log.info(
                "sign_in_failed",
                protocol=client.protocol.value,
                client=client.address,
                user=name,
                reason=why.reason,
                **rules,
                **sign_in.token_of(why),
            )
            raise errors.SignInFailed()
        SIGN_INS.labels(client.protocol.value, "succeeded").inc()
        return actor

    async def _attempt(self, credentials: Credentials, client: Client) -> tuple[Actor | None, Denial]:
        if len(credentials.username) > LONGEST_NAMES or len(credentials.password) > LONGEST_PASSWORD:
            return None, Denial("too_long")
        credentials = sign_in.unfold(credentials)
        if max(len(credentials.username), len(credentials.authzid)) > LONGEST_NAME:
            return None, Denial("too_long")
        self._throttle.check_network(client.address)
        candidate = await self._look_up(credentials, client)
        account = candidate.user_id or sign_in.key_of(credentials.username) or credentials.username
        self._throttle.check(client.address, account)
        shown = candidate.token.id if candidate.token else ""
        if not (candidate.proven or await self._is_right(candidate, credentials, client.address, account)):
            return None, Denial(candidate.reason or "password", candidate.rules, shown)
        if candidate.actor is not None:
            self._throttle.succeeded(client.address, account)
            self._note_token(candidate)
        return candidate.actor, Denial(candidate.reason, candidate.rules, shown)

    async def _is_right(self, candidate: Candidate, credentials: Credentials, address: str, account: str) -> bool:
        """Say whether the password is right, from memory or by checking it."""
        digest = self._digest(credentials)
        right = self._recall(digest, candidate.stored)
        return await self._verify(digest, candidate, credentials.password, address, account) if right is None else right

    def _note_token(self, candidate: Candidate) -> None:
        """Log the id of the token that has opened, and keep when that was, now and then, without waiting for it."""
        actor, token = candidate.actor, candidate.token
        if actor is None or token is None or not candidate.proven:
            return
        client = actor.client
        log.info("signed_in_by_token", protocol=client.protocol.value, client=client.address, user=actor.email, token=token.id)
        now = self._store.now()
        if token.stale(now) and token.id not in self._noting:
            self._noting[token.id] = asyncio.create_task(self._note_use(actor.scope, token.id, now))

    async def _note_use(self, scope: int, token_id: str, now: float) -> None:
        try:
            await self._store.transact(scope, tokens.note_use, token_id, now)
        except Exception:
            log.warning("token_use_not_noted", token=token_id, exc_info=True)
        finally:
            del self._noting[token_id]

    async def _look_up(self, credentials: Credentials, client: Client) -> Candidate:
        organization = await self._store.look(REGISTRY, sign_in.locate, credentials.username)
        if organization is None:
            return sign_in.NOBODY
        if client.other != self._settings.other_protocols:
            client = replace(client, other=self._settings.other_protocols)
        return await self._store.look(organization.number, sign_in.look_up, organization, credentials, client)

    async def _verify(self, digest: Digest, candidate: Candidate, password: str, address: str, account: str) -> bool:
        """Check once for all who ask at the same time; outlives whoever asked first."""
        key = (digest, candidate.stored)
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= MAX_WAITING:
                raise errors.TryLater("Too many are signing in; try again later.")
            task = asyncio.create_task(self._check(digest, candidate, password, address, account))
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    async def _check(self, digest: Digest, candidate: Candidate, password: str, address: str, account: str) -> bool:
        try:
            right = await self._compare(candidate, password, address, account)
        except outside_passwords.Unconfirmed:
            if not self._is_same_guess(digest):
                self._throttle.failed(address, account)
            raise
        if not right and candidate.guessed:
            self._throttle.failed(address, account)
        self._remember(digest, candidate.stored, right)
        return right

    async def _compare(self, candidate: Candidate, password: str, address: str, account: str) -> bool:
        """Hold a password against the hash of it, or have the outside directory do so; both on threads of their own.

        Whoever has waited for a thread is slowed down by what has failed meanwhile: many guesses at once are not checked all.
        """
        loop, stored = asyncio.get_running_loop(), candidate.stored
        if outside.is_outside(stored):
            asked = (self._store, self._directories, candidate.scope, stored, password)
            async with self._binding:
                self._throttle.check(address, account)
                return await loop.run_in_executor(outside_passwords.BINDING, outside_passwords.verify, *asked)
        async with self._lanes:
            self._throttle.check(address, account)
            return await loop.run_in_executor(passwords.HASHING, passwords.verify, stored, password)

    def _is_same_guess(self, digest: Digest) -> bool:
        """Say whether this has been tried before while the directory did not answer, and note that it has."""
        now = self._clock()
        known = self._unanswered.pop(digest, now) > now
        self._unanswered[digest] = now + UNANSWERED_SECONDS
        if len(self._unanswered) > MAX_REMEMBERED:
            self._unanswered.popitem(last=False)
        return known

    def _forget(self, key: tuple[Digest, str], done: "asyncio.Task[bool]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # heard by whoever still waits; nobody else need be told

    def _digest(self, credentials: Credentials) -> Digest:
        name = sign_in.key_of(credentials.username) or credentials.username
        text = f"{name}\0{credentials.password}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()

    def _recall(self, digest: Digest, stored: str) -> bool | None:
        found = self._remembered.get(digest)
        if found is None:
            return None
        checked, right, until = found
        if checked != stored or self._clock() >= until:
            del self._remembered[digest]
            return None
        return right

    def _remember(self, digest: Digest, stored: str, right: bool) -> None:
        seconds = REFUSED_SECONDS if outside.is_outside(stored) and not right else REMEMBERED_SECONDS
        self._remembered[digest] = (stored, right, self._clock() + seconds)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
