"""The carrier: takes leased parcels to where they go, and writes down what became of them.

Parcels stand in *lanes*, one for each next hop: another organization of this server, a domain's mail exchangers, or
the smarthost. A few workers walk each lane, every one over one connection that serves parcel after parcel. What a
worker learns is settled in one transaction: copies that arrived leave the queue, those that failed become a bounce,
the others get their next time.
"""

import asyncio
import contextlib
import os
import secrets
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import structlog
from prometheus_client import Counter, Gauge

from postroom.directory import domains
from postroom.formats import message
from postroom.formats.message import Letterhead
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import bounces, inbound, queue, verdicts
from postroom.mailflow.outbound.dialling import Dialler
from postroom.mailflow.outbound.link import Link, Results, Stale
from postroom.mailflow.outbound.scales import Scales
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outbound.signatures import Signatures
from postroom.mailflow.outbound.story import Story
from postroom.mailflow.outbound.tls_outcome import Sink, ignore
from postroom.mailflow.queue import Copy, Parcel
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.trace import without_return_path
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.model import errors
from postroom.storage.engine import REGISTRY, Store, Tx

ATTEMPTS = Counter("postroom_mailflow_attempts", "Attempts to deliver a queued copy, by outcome", ["outcome"])
BOUNCES = Counter("postroom_mailflow_bounces", "Delivery status notifications", ["action"])
CARRIED = Gauge("postroom_mailflow_in_flight", "Queued copies that are being carried")
log = structlog.get_logger("postroom.mailflow")

_LONGEST_SLEEP = 300.0
_RESCAN = 60.0
_SMARTHOST = "smarthost"


@dataclass(slots=True)
class _Lane:
    """Parcels for one next hop: a scope of this server, or else a domain; `down` says why it cannot be reached."""

    name: str
    scope: int | None
    down: Verdict | None = None
    parcels: deque[Parcel] = field(default_factory=deque)
    workers: set["asyncio.Task[None]"] = field(default_factory=set)


class Carrier:
    """Carries the queues of all organizations of a store, and tells `outcomes` how each connection was encrypted."""

    def __init__(self, store: Store, resolver: Resolver, settings: Settings | None = None, *, outcomes: Sink = ignore) -> None:
        self._store = store
        self._settings = settings or Settings()
        self._signatures = Signatures(store)
        self._dialler = Dialler(self._settings, resolver, now=store.now, outcomes=outcomes)
        self._holder = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lanes: dict[str, _Lane] = {}
        self._held: dict[int, set[int]] = {}  # leased row numbers by scope
        self._woken: dict[int, None] = {}  # in the order in which they are served
        self._hungry: dict[int, None] = {}  # those for whom there was no room, longest waiting first
        self._wake = asyncio.Event()
        self._due: dict[int, float] = {}  # when to look again, in the loop's time, by scope
        self._connections = asyncio.Semaphore(self._settings.connections)
        self._memory = Scales(self._settings.memory)
        self._closing = False
        self._ended = asyncio.Event()
        self._ended.set()
        self._stop_listening = store.notifier.on(queue.TOPIC, self._on_wake)

    async def run(self) -> None:
        """Carry until `close`."""
        self._ended.clear()
        renewing = asyncio.get_running_loop().create_task(self._renew_leases())
        try:
            await self._run()
        finally:
            renewing.cancel()
            self._ended.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        rescan_at = 0.0
        while not self._closing:
            if loop.time() >= rescan_at:
                await self._look_everywhere()
                # another server may queue mail in the same database; beside an embedded store only commands do, which tell
                rescan_at = loop.time() + (_RESCAN if self._store.engine == "postgresql" else 10 * _RESCAN)
            now = loop.time()
            for scope in [*self._woken, *(scope for scope, at in self._due.items() if at <= now)]:
                await self._guarded_serve(scope)
            await self._sleep(min([rescan_at, *self._due.values()]) - loop.time())

    async def sweep(self) -> None:
        """Carry all that is due at this moment, and wait for it."""
        while True:
            for scope in await self._store.run(self._store.scopes):
                await self._serve(scope)
            if not self._lanes:
                return
            while self._lanes:
                await asyncio.gather(*(task for lane in self._lanes.values() for task in lane.workers))

    async def close(self, grace: float = 2.0) -> None:
        """Finish what is being sent within `grace` seconds and give the rest back to the queue."""
        self._closing = True
        self._stop_listening()
        self._signatures.close()
        self._wake.set()
        waiting = [parcel for lane in self._lanes.values() for parcel in lane.parcels]
        for lane in self._lanes.values():
            lane.parcels.clear()
        workers = [task for lane in self._lanes.values() for task in lane.workers]
        if workers:
            _, late = await asyncio.wait(workers, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for parcel in waiting:
            await self._finish(parcel, None, b"")
        await self._ended.wait()

    # Finding work

    def _on_wake(self, scope: int) -> None:
        self._woken[scope] = None
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        if self._woken or self._closing:
            return
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(min(seconds, _LONGEST_SLEEP), 0.05))

    async def _look_everywhere(self) -> None:
        try:
            self._woken.update(dict.fromkeys(await self._store.run(self._store.scopes)))
        except Exception:
            log.warning("organizations_not_listed", exc_info=True)

    async def _guarded_serve(self, scope: int) -> None:
        """Serve a scope; trouble there must not stop the others."""
        try:
            await self._serve(scope)
        except errors.OrganizationNotFound:
            log.info("queue_gone", scope=scope)  # deleted, and its queue with it
        except Exception:
            log.warning("queue_not_served", scope=scope, exc_info=True)
            self._due[scope] = asyncio.get_running_loop().time() + _RESCAN

    async def _serve(self, scope: int) -> None:
        """Lease what is due in a scope, as much as may be in flight, and note when to look again."""
        self._woken.pop(scope, None)
        self._due.pop(scope, None)
        while not self._closing:
            free = self._settings.in_flight - sum(len(held) for held in self._held.values())
            if free <= 0:
                self._hungry.setdefault(scope)  # every parcel settled wakes those who wait for room
                return
            self._hungry.pop(scope, None)
            wait = await self._store.read(scope, queue.next_due)
            if wait is None or wait > 0:
                if wait is not None:
                    self._due[scope] = asyncio.get_running_loop().time() + wait
                return
            parcels = await self._store.transact(scope, queue.lease, self._holder, free)
            held = self._held.setdefault(scope, set())  # what gets into no lane is not held: its lease runs out
            for parcel in parcels:
                # a clock that jumped lets leases run out of what is being carried here already
                copies = tuple(copy for copy in parcel.copies if copy.number not in held)
                if copies:
                    await self._queue_up(replace(parcel, copies=copies))

    async def _queue_up(self, parcel: Parcel) -> None:
        """Put a parcel into its lane and see that somebody walks it.

        What takes several transactions is several parcels, so that each is settled as soon as it has arrived.
        """
        scope = await self._store.read(REGISTRY, domains.route, parcel.domain)
        self._held[parcel.scope].update(copy.number for copy in parcel.copies)
        CARRIED.inc(len(parcel.copies))
        settings = self._settings
        if scope is not None:
            name, most = f"organization {scope}", 1
        elif settings.smarthost:
            name, most = _SMARTHOST, settings.connections_to_smarthost
        else:
            name, most = parcel.domain, settings.connections_per_domain
        if self._closing:
            await self._finish(parcel, None, b"")
            return
        lane = self._lanes.setdefault(name, _Lane(name, scope))
        step = settings.recipients_per_message if scope is None else len(parcel.copies)
        for at in range(0, len(parcel.copies), step):
            lane.parcels.append(replace(parcel, copies=parcel.copies[at : at + step]))
            if len(lane.workers) < (1 if lane.down else most):
                task = asyncio.get_running_loop().create_task(self._walk(lane))
                lane.workers.add(task)

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(queue.LEASE / 3)
            for scope, numbers in list(self._held.items()):
                try:
                    if numbers:
                        await self._store.transact(scope, queue.renew, self._holder, tuple(numbers))
                except Exception:
                    log.warning("lease_not_renewed", scope=scope, exc_info=True)

    # Carrying

    async def _walk(self, lane: _Lane) -> None:
        """Carry a lane's parcels until none is left; a worker without a connection leaves them to others who walk there."""
        link: Link | None = None
        tried = False
        try:
            async with contextlib.AsyncExitStack() as stack:
                if lane.scope is None:
                    await stack.enter_async_context(self._connections)
                while lane.parcels and (link or not tried or len(lane.workers) == 1):
                    parcel = lane.parcels.popleft()
                    async with self._memory.hold(parcel.size):
                        link = await self._carry(lane, parcel, link)
                    tried = True
        finally:
            lane.workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if not lane.workers and not lane.parcels:
                self._lanes.pop(lane.name, None)
            if link is not None:
                await link.quit()

    async def _carry(self, lane: _Lane, parcel: Parcel, link: Link | None) -> Link | None:
        """Attempt one parcel, settle it, and give back the connection for the next."""
        results: Results | None = None
        raw = b""
        try:
            raw = await self._store.read(parcel.scope, contents.read, parcel.content)
            if lane.scope is not None:
                results = await self._hand_over(lane.scope, parcel, raw)
            else:
                leaving = await self._signatures.sign(parcel, without_return_path(raw))
                link, results = await self._send(lane, parcel, leaving, link)
        except errors.PostroomError as error:
            results = [(copy, verdicts.deferred("4.3.0", error.text)) for copy in parcel.copies]
        except Exception:
            log.error("carrying_failed", message=parcel.message, domain=parcel.domain, exc_info=True)
            results = [(copy, verdicts.deferred("4.3.0", "Internal error")) for copy in parcel.copies]
        finally:
            await self._finish(parcel, results, raw, lane.scope)
        return link

    async def _finish(self, parcel: Parcel, results: Results | None, raw: bytes, scope: int | None = None) -> None:
        """Settle what is known; without results the parcel was interrupted and goes back as it was. `scope` is where it went, if here.

        While the carrier closes, a delay says nothing of the next hop: it is our own hanging up.
        """
        held = self._held.get(parcel.scope, set())
        try:
            if results is None or (self._closing and all(verdict.fate is Fate.DEFERRED for _, verdict in results)):
                await self._store.transact(parcel.scope, queue.release, self._holder, parcel.copies)
            else:
                await self._settle(parcel, results, raw, scope)
        except errors.OrganizationNotFound:
            log.info("queue_gone", scope=parcel.scope)
        except Exception:
            log.warning("not_settled", message=parcel.message, exc_info=True)  # its lease runs out, and it is tried again
        finally:
            held.difference_update(copy.number for copy in parcel.copies)
            CARRIED.dec(len(parcel.copies))
            for scope in (*self._hungry, parcel.scope):
                self._on_wake(scope)

    async def _hand_over(self, scope: int, parcel: Parcel, raw: bytes) -> Results:
        """Deliver to another organization of this server."""
        prepared = await self._store.run(contents.prepare, self._store, scope, raw)
        envelope = parcel.envelope
        numbers = [copy.number for copy in parcel.copies]
        deliver = partial(inbound.hand_over, trace=parcel.trace, assessment=parcel.assessment)
        outcomes = await self._store.transact(scope, deliver, parcel.scope, numbers, envelope, prepared)
        return [(copy, _judge(outcome)) for copy, outcome in zip(parcel.copies, outcomes, strict=True)]

    async def _send(self, lane: _Lane, parcel: Parcel, raw: bytes, link: Link | None) -> tuple[Link | None, Results]:
        """Send to another server, over the open connection if it still stands.

        A host that could not be reached is not called again for every parcel that waits for it.
        """
        opened: Link | Verdict | None = lane.down if link is None else None
        if link is not None:
            if link.alive and link.sent < self._settings.messages_per_connection:
                with contextlib.suppress(Stale):
                    return link, await link.send(parcel, raw)
            await link.quit()
        if opened is None:
            opened = await self._connect(lane)
        if isinstance(opened, Verdict):
            lane.down = opened
            return None, [(copy, opened) for copy in parcel.copies]
        lane.down = None
        return opened, await opened.send(parcel, raw)

    async def _connect(self, lane: _Lane) -> Link | Verdict:
        if lane.name == _SMARTHOST:
            return await self._dialler.to_smarthost()
        return await self._dialler.to_domain(lane.name)

    # Writing down

    async def _settle(self, parcel: Parcel, results: Results, raw: bytes, scope: int | None) -> None:
        age = self._store.now() - parcel.queued_at
        final = [_final(copy, verdict, age) for copy, verdict in results]
        for copy, verdict in final:
            ATTEMPTS.labels(verdict.fate.name.lower()).inc()
            log.info(
                "attempt",
                scope=parcel.scope,
                message=parcel.message,
                to=copy.recipient,
                outcome=verdict.fate.name.lower(),
                status=verdict.status,
                host=verdict.host,
                reply=verdict.text,
                tls=verdict.tls,
            )
        lost = [(copy, verdict) for copy, verdict in final if verdict.fate is Fate.FAILED]
        late = [pair for pair in final if self._warns(parcel, *pair, age)]
        bounce = await self._notification(parcel, lost, raw, "failed")
        warning = await self._notification(parcel, late, raw, "delayed")
        story = Story(parcel, message.letterhead(raw) if parcel.author else Letterhead(), scope)
        await self._store.transact(parcel.scope, _write_down, self._holder, story, final, age, bounce, warning)

    def _warns(self, parcel: Parcel, copy: Copy, verdict: Verdict, age: float) -> bool:
        waiting = verdict.fate is Fate.DEFERRED and not copy.warned and age >= queue.WARNING
        return self._settings.warn and bool(parcel.author) and waiting

    async def _notification(self, parcel: Parcel, outcomes: Results, raw: bytes, action: str) -> Prepared | None:
        if not outcomes or not bounces.wanted(parcel):
            return None
        BOUNCES.labels(action).inc()
        name = self._settings.hostname
        return await self._store.run(bounces.prepare, self._store, name, parcel, outcomes, raw, action)


def _write_down(
    tx: Tx, holder: str, story: Story, results: Results, age: float, bounce: Prepared | None, warning: Prepared | None
) -> None:
    """Settle a parcel in one transaction; copies that another holder has taken over are left to that one."""
    parcel = story.parcel
    ours = [(copy, verdict) for copy, verdict in results if verdict.fate is Fate.DEFERRED or queue.done(tx, holder, copy)]
    for copy, verdict in ours:
        if verdict.fate is Fate.DEFERRED:
            warned = copy.warned or warning is not None
            queue.postpone(tx, holder, copy, verdict.text, age=age, warned=warned)
        else:
            story.tell(tx, copy, verdict)
    if bounce is not None and any(verdict.fate is Fate.FAILED for _, verdict in ours):
        bounces.send(tx, parcel, bounce)
    if warning is not None:
        bounces.send(tx, parcel, warning)


def _final(copy: Copy, verdict: Verdict, age: float) -> tuple[Copy, Verdict]:
    """Turn a delay that has lasted too long into a failure; the last reply says why."""
    if verdict.fate is not Fate.DEFERRED or not queue.expired(age):
        return copy, verdict
    return copy, replace(verdict, fate=Fate.FAILED, status="4.4.7" if verdict.status == "4.4.1" else verdict.status)


def _judge(outcome: errors.PostroomError | None) -> Verdict:
    """Judge a delivery on this server; a full mailbox may be emptied."""
    if outcome is None:
        return Verdict(Fate.DELIVERED, "2.0.0", "Delivered")
    if isinstance(outcome, errors.OverQuota):
        return verdicts.deferred("4.2.2", outcome.text)
    if isinstance(outcome, errors.LetterRefused):
        return verdicts.failed("5.7.1", outcome.text)
    return verdicts.failed("5.1.1", outcome.text)
