"""Calls the hooks of all organizations when their time has come, a few at a time, and has done what they answer.

A call is leased, made on a thread of its own without any transaction, and settled in one. A process that dies leaves its calls leased:
they are made again when that is over, and at once where one process serves the store alone. A thread that does not come back keeps its
place until it does, though its call counts as failed; so there are never more threads than places.
"""

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable
from functools import partial

import structlog
from prometheus_client import Counter

from postroom.mailbox import contents
from postroom.mailflow import answered, hooks
from postroom.mailflow.hooks import Call, Caller, Unanswered
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.model.errors import OrganizationNotFound
from postroom.server.hooks.calls import SECONDS
from postroom.storage.engine import Store
from postroom.storage.queries import leases

AT_ONCE = 16
"""Calls at once, of which an organization has a quarter."""
SETTLED_AT_ONCE = 2
"""Letters that are held in memory at once to be sent on their way."""
LOOK_SECONDS = 60.0
"""How often it is looked for calls that other processes have left."""
CALLS = Counter("postroom_mailflow_hook_calls", "Calls of hooks, by how they ended", ["end"])
log = structlog.get_logger("postroom.mailflow")


class Hooking:
    """Makes calls that are due, until it is closed."""

    def __init__(self, store: Store, caller: Caller, terms: Terms = USUAL, *, seconds: float = SECONDS) -> None:
        self._store = store
        self._caller = caller
        self._terms = terms
        self._seconds = seconds
        self._holder = f"{leases.holder()}:{secrets.token_hex(4)}"
        self._places = AT_ONCE
        self._works: dict[asyncio.Task[None], tuple[int, Call]] = {}
        self._woken: dict[int, None] = {}
        self._left: dict[int, None] = {}  # organizations for whose calls there was no place
        self._due: dict[int, float] = {}  # when to look again, in the loop's time, by organization
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._settling = asyncio.Semaphore(SETTLED_AT_ONCE)
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to listen and to work."""
        self._unsubscribe = self._store.notifier.on(hooks.TOPIC, self._announced)
        self._task = asyncio.create_task(self._run(), name="hooks")

    async def close(self, grace: float) -> None:
        """Stop: what is being called has `grace` seconds left; the rest is given back."""
        self._closing = True
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        left = dict(self._works)
        if left:
            await asyncio.wait(left, timeout=grace)
        for task, (scope, call) in left.items():
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                with contextlib.suppress(Exception):  # its lease runs out
                    await self._store.transact(scope, hooks.give_back, self._holder, call)

    async def sweep(self) -> None:
        """Make all calls that are due at this moment, and wait for them."""
        for scope in await self._store.run(self._store.scopes):
            while await self._serve(scope) or self._works:
                await asyncio.gather(*self._works)

    def _announced(self, scope: int) -> None:
        self._woken[scope] = None
        self._wake.set()

    def _freed(self) -> None:
        """Let those look again for whom there was no place."""
        self._woken.update(self._left)
        self._left.clear()
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        await self._look_everywhere(alone=self._store.engine == "sqlite")
        look_at = loop.time() + LOOK_SECONDS
        while True:
            now = loop.time()
            if now >= look_at and self._store.engine == "postgresql":  # beside an embedded store nobody else makes calls
                await self._look_everywhere()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
            for scope in [*self._woken, *(scope for scope, at in self._due.items() if at <= now)]:
                await self._guarded_serve(scope)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(min([look_at, *self._due.values()]) - loop.time(), 0.05)):
                    await self._wake.wait()
            self._wake.clear()

    async def _look_everywhere(self, *, alone: bool = False) -> None:
        try:
            scopes = await self._store.run(self._store.scopes)
        except Exception:
            log.warning("organizations_not_listed", exc_info=True)
            return
        for scope in scopes:
            try:
                if alone and await self._store.read(scope, hooks.next_due) is not None:
                    await self._store.transact(scope, hooks.reclaim, self._holder)
            except Exception:
                log.warning("hook_calls_not_taken_over", scope=scope, exc_info=True)  # their leases run out
            self._woken[scope] = None

    async def _guarded_serve(self, scope: int) -> None:
        """Serve an organization; trouble there must not stop the others."""
        try:
            await self._serve(scope)
        except OrganizationNotFound:
            log.info("hook_calls_gone", scope=scope)
        except Exception:
            log.warning("hook_calls_not_served", scope=scope, exc_info=True)
            self._due[scope] = asyncio.get_running_loop().time() + LOOK_SECONDS

    async def _serve(self, scope: int) -> int:
        """Take up what is due in an organization, as far as there are places, and note when to look again; counts what was taken up."""
        self._woken.pop(scope, None)
        self._due.pop(scope, None)
        wait = await self._store.read(scope, hooks.next_due)
        if wait is None:
            return 0
        taken: list[Call] = []
        if wait <= 0:
            busy = sum(1 for at, _ in self._works.values() if at == scope)
            room = min(self._places, AT_ONCE // 4 - busy)
            if room <= 0 or self._closing:
                self._left[scope] = None
                return 0
            taken = await self._store.transact(scope, hooks.lease, self._holder, room)
            for call in taken:
                self._places -= 1
                self._works[asyncio.create_task(self._work(scope, call), name=f"hook-{call.number}")] = (scope, call)
            wait = await self._store.read(scope, hooks.next_due)
        if wait is not None:
            self._due[scope] = asyncio.get_running_loop().time() + wait
        return len(taken)

    async def _work(self, scope: int, call: Call) -> None:
        try:
            await self._make(scope, call)
        except OrganizationNotFound:
            log.info("hook_call_ended_with_its_organization", scope=scope)
        except Exception:
            log.exception("hook_call_failed", scope=scope, message=call.passing.trace)
            with contextlib.suppress(Exception):  # its lease runs out
                await self._store.transact(scope, hooks.again, self._holder, call, "Internal error")
        finally:
            self._works.pop(asyncio.current_task(), None)  # type: ignore[arg-type]
            self._woken[scope] = None  # it may have to be made again
            self._freed()

    async def _make(self, scope: int, call: Call) -> None:
        """Make one call and settle it, unless it is to be made again."""
        note = partial(log.info, "hook_call", scope=scope, message=call.passing.trace, hook=call.rule.target, invocation=call.invocation)
        try:
            body = await self._ask(call)
            found, added = hooks.rulings(call, body) if call.rule.waits else ({}, ())
        except Unanswered as error:
            if self._store.now() < call.ends_at:
                CALLS.labels("failed").inc()
                note(end="failed", reason=str(error), attempts=call.attempts + 1)
                await self._store.transact(scope, hooks.again, self._holder, call, str(error))
                return
            CALLS.labels("given_up").inc()
            note(end="given_up", reason=str(error), attempts=call.attempts + 1)
            found, added = hooks.fallback(call), ()
        else:
            CALLS.labels("answered").inc()
            note(end="answered", attempts=call.attempts + 1)
        if not call.rule.waits:
            await self._store.transact(scope, hooks.done, self._holder, call)
            return
        async with self._settling:
            raw = await self._store.read(scope, hooks.text, call)
            prepared = await self._store.run(contents.prepare, self._store, scope, raw)
            await self._store.transact(scope, answered.settle, self._holder, call, found, added, prepared, self._terms)

    async def _ask(self, call: Call) -> bytes:
        """Call a hook on a thread that nobody waits for when its time is over, or when the program ends; raises `Unanswered`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def settle(body: bytes, error: BaseException | None) -> None:
            self._places += 1
            self._freed()
            if not answer.done():
                answer.set_exception(error) if error else answer.set_result(body)

        def run() -> None:
            body, error = b"", None
            try:
                body = self._caller(call)
            except BaseException as failure:
                error = failure
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, body, error)

        try:
            threading.Thread(target=run, name=f"hook-{call.number}", daemon=True).start()
        except RuntimeError as error:
            self._places += 1
            raise Unanswered("Too much goes on here") from error
        try:
            async with asyncio.timeout(self._seconds + 1):
                return await answer
        except TimeoutError:
            raise Unanswered(f"The hook does not answer: it took more than {self._seconds:g} seconds") from None
