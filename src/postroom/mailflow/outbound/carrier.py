"""The carrier: takes leased parcels to where they go.

Parcels stand in *lanes*, one for each next hop (`lanes`): another organization of this server, a domain's mail exchangers, or the
smarthost. A few workers walk each lane, every one over one connection that serves parcel after parcel; who carries mail has one of the
places for connections, and lets another have it after a while. A hop that cannot be reached is tried by one worker with one parcel; then
all that waits for it is put off together. What a worker learns of a parcel is settled in one transaction (`settling`).
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import structlog
from prometheus_client import Gauge

from postroom.mailbox import contents
from postroom.mailflow import destinations, inbound, queue, verdicts
from postroom.mailflow.outbound.demands import Demands
from postroom.mailflow.outbound.dialling import Dialler
from postroom.mailflow.outbound.hops import Hops
from postroom.mailflow.outbound.lanes import Lane, Proven, Source, Turn, Turns
from postroom.mailflow.outbound.link import Link, Results, Stale
from postroom.mailflow.outbound.relay import Relay, RelayLink
from postroom.mailflow.outbound.scales import Scales
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outbound.settling import Settling, judge
from postroom.mailflow.outbound.signatures import Signatures
from postroom.mailflow.outbound.slots import Slots
from postroom.mailflow.outbound.tls_outcome import Sink, ignore
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.mailflow.queue import Parcel
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.trace import without_return_path
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.model import errors
from postroom.storage.engine import Store, Tx

Way = Link | RelayLink
CARRIED = Gauge("postroom_mailflow_in_flight", "Queued copies that are being carried")
log = structlog.get_logger("postroom.mailflow")

_LONGEST_SLEEP = 300.0
_RESCAN = 60.0
_PAGE = 1000
_TRIALS_AT_ONCE = 16
_TURN = 5.0
"""Seconds after which a worker lets others have its place."""
_STREAK = 10
"""Letters in a row that a destination puts off before it counts as out of reach."""
_REMEMBERED = 5.0
"""Seconds for which a hop that could not be reached is not called again for another organization or destination."""
_OVERDUE = 50


class Carrier:
    """Carries the queues of all organizations of a store by `demands` of encryption, and tells `outcomes` how each connection came out.

    `gateways` are those by way of which rules send, each as the smarthost of settings of its own; what scripts send on of what is
    delivered here goes by the `terms`.
    """

    def __init__(
        self,
        store: Store,
        resolver: Resolver,
        settings: Settings | None = None,
        *,
        demands: Demands | None = None,
        outcomes: Sink = ignore,
        terms: Terms = USUAL,
        gateways: Mapping[str, Settings] | None = None,
        relay: Relay | None = None,
    ) -> None:
        self._store = store
        self._settings = settings or Settings()
        self._signatures = Signatures(store)
        self._dialler = Dialler(
            self._settings, resolver, now=store.now, demands=demands, outcomes=outcomes, gateways=gateways, relay=relay
        )
        self._holder = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self._terms = terms
        self._settling = Settling(store, self._settings, self._holder, terms)
        self._hops = Hops(store, self._settings)
        self._turns = Turns(self._settings)
        self._proven = Proven()
        self._lanes: dict[str, Lane] = {}
        self._sources: dict[tuple[int, str], Source] = {}
        self._out_of_reach: dict[str, tuple[float, Verdict]] = {}  # until when, by hop
        self._held: dict[int, set[int]] = {}  # leased row numbers by scope
        self._woken: dict[int, None] = {}  # in the order in which they are served
        self._wake = asyncio.Event()
        self._due: dict[int, float] = {}  # when to look again, in the loop's time, by scope
        self._slots = Slots(self._settings.connections)
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
            await self._reclaim()
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
            await self._feed()
            await self._sleep(min([rescan_at, *self._due.values()]) - loop.time())

    async def sweep(self) -> None:
        """Carry all that is due at this moment, and wait for it."""
        while True:
            for scope in await self._store.run(self._store.scopes):
                await self._serve(scope)
            if not self._lanes:
                return
            while any(lane.workers for lane in self._lanes.values()):
                await self._wake.wait()  # every worker says when it has settled something, and when it is done
                self._wake.clear()
                await self._feed()

    async def close(self, grace: float = 2.0) -> None:
        """Finish what is being sent within `grace` seconds and give the rest back to the queue."""
        self._closing = True
        self._stop_listening()
        self._signatures.close()
        self._wake.set()
        for lane in self._lanes.values():
            lane.arrival.set()
        if workers := [task for lane in self._lanes.values() for task in lane.workers]:
            _, late = await asyncio.wait(workers, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._ended.wait()
        for lane in list(self._lanes.values()):
            while lane.parcels:
                await self._finish(lane, lane.parcels.popleft(), None)
        await self._give_up_claims()

    # Finding work

    def _on_wake(self, scope: int) -> None:
        self._woken[scope] = None
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        if self._woken or self._closing:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(min(seconds, _LONGEST_SLEEP), 0.05))
        self._wake.clear()

    async def _reclaim(self) -> None:
        """Take over at once what a process that was killed has left behind; an embedded store is served by one process at a time."""
        if self._store.engine != "sqlite":
            return
        for scope in await self._store.run(self._store.scopes):
            try:
                await self._store.transact(scope, queue.reclaim, self._holder)
            except Exception:
                log.warning("leases_not_taken_over", scope=scope, exc_info=True)  # they run out

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
        """Let the destinations of which something is due in a scope have their turns, and note when to look again."""
        self._woken.pop(scope, None)
        self._due.pop(scope, None)
        while not self._closing:
            found, wait = await self._store.read(scope, _look, _PAGE)
            if not found:
                if wait is not None:
                    self._due[scope] = asyncio.get_running_loop().time() + wait
                return
            for name, blocked in found:
                await self._expect(scope, name, blocked=blocked)
            await self._feed()
            if scope in self._due:
                return  # something went wrong
            left = [name for name, _ in found if (source := self._sources.get((scope, name))) and source.waiting and not source.claimed]
            await self._store.transact(scope, queue.claim, left)
            for name in left:
                if source := self._sources.get((scope, name)):
                    source.claimed = True

    async def _expect(self, scope: int, name: str, *, blocked: bool) -> None:
        """Find the lane of a destination, and let it ask for a turn there."""
        source = self._sources.get((scope, name))
        if source is None:
            hop = await self._hops.find(name)
            lane = self._lanes.get(hop.name)
            if lane is None:
                proven = hop.scope is not None or self._proven.knows(hop.name, self._store.now())
                lane = self._lanes[hop.name] = Lane(hop, self._hops.most(hop), proven)
            source = self._sources[scope, name] = lane.source(scope, name)
            source.troubled = blocked and hop.scope is None
        source.claimed = False
        self._turns.ask(source)

    async def _feed(self) -> None:
        """Lease as much as there is room for, first for hops that answer."""
        while not self._closing:
            turns = self._turns.proven() or self._turns.trials(_TRIALS_AT_ONCE)
            if not turns:
                return
            await asyncio.gather(*(self._lease(turn) for turn in turns))

    async def _lease(self, turn: Turn) -> None:
        source, lane, parcels, more = turn.source, turn.source.lane, list[Parcel](), False
        try:
            lease = self._store.transact(source.scope, queue.lease, self._holder, source.destination, turn.most, claimed=source.claimed)
            parcels, more = await lease
        except errors.OrganizationNotFound:
            log.info("queue_gone", scope=source.scope)
        except Exception:
            log.warning("queue_not_served", scope=source.scope, destination=source.destination, exc_info=True)
            self._due[source.scope] = asyncio.get_running_loop().time() + _RESCAN
        source.claimed = more
        held = self._held.setdefault(source.scope, set())
        # a clock that jumped lets leases run out of what is being carried here already
        fresh = [replace(parcel, copies=tuple(copy for copy in parcel.copies if copy.number not in held)) for parcel in parcels]
        copies = sum(len(parcel.copies) for parcel in fresh)
        self._turns.taken(turn, copies)
        if not copies:
            self._turns.trial_over(lane)
        for parcel in fresh:
            if parcel.copies:
                self._queue_up(source, parcel)
        if more and not (source.troubled and copies):  # what becomes of the first decides about the others
            self._turns.ask(source)
        self._tidy(source)

    def _queue_up(self, source: Source, parcel: Parcel) -> None:
        """Put a parcel into its lane and see that somebody walks it.

        What takes several transactions is several parcels, so that each is settled as soon as it has arrived.
        """
        lane = source.lane
        self._held[parcel.scope].update(copy.number for copy in parcel.copies)
        CARRIED.inc(len(parcel.copies))
        step = self._settings.recipients_per_message if lane.hop.scope is None else len(parcel.copies)
        parts = [replace(parcel, copies=parcel.copies[at : at + step]) for at in range(0, len(parcel.copies), step)]
        for part in parts:
            lane.add(source, part)
        lane.arrival.set()
        self._staff(lane)

    def _staff(self, lane: Lane) -> None:
        """See that enough workers walk a lane: one until it is known whether it leads anywhere."""
        most = 0 if self._closing else lane.most if lane.proven and lane.down is None else 1
        while len(lane.workers) < min(most, len(lane.parcels)):
            lane.workers.add(asyncio.get_running_loop().create_task(self._walk(lane)))

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(queue.LEASE / 3)
            claims: dict[int, list[str]] = {}
            for source in self._sources.values():
                if source.claimed:
                    claims.setdefault(source.scope, []).append(source.destination)
            for scope in {*self._held, *claims}:
                numbers = self._held.get(scope, set())
                try:
                    if numbers or scope in claims:
                        await self._store.transact(scope, queue.renew, self._holder, tuple(numbers), claims.get(scope, ()))
                except Exception:
                    log.warning("lease_not_renewed", scope=scope, exc_info=True)

    async def _give_up_claims(self) -> None:
        for source in [source for source in self._sources.values() if source.claimed]:
            with contextlib.suppress(Exception):  # it runs out
                await self._store.transact(source.scope, destinations.let_go, source.destination)

    # Carrying

    async def _walk(self, lane: Lane) -> None:
        """Carry a lane's parcels until none is left, or others want the place."""
        try:
            if lane.hop.scope is not None:
                while lane.parcels and not self._closing:
                    await self._carry(lane, lane.parcels.popleft(), None)
            else:
                await self._walk_outside(lane)
        finally:
            lane.workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if not lane.workers:
                self._turns.trial_over(lane)
            self._turns.consider(lane)
            self._staff(lane)
            if lane.over:
                self._lanes.pop(lane.hop.name, None)
            self._wake.set()

    async def _walk_outside(self, lane: Lane) -> None:
        """Find a connection and carry over it; without one it is known by now what becomes of the parcels."""
        tried = False
        async with contextlib.AsyncExitStack() as stack:
            if lane.proven and lane.down is None:
                await self._sit_down(stack)
            verdict = link = await self._reach(lane) if lane.parcels else None
            if link is not None and not isinstance(link, Verdict):
                if not lane.proven:
                    self._answered(lane)
                    await self._sit_down(stack)
                verdict, tried = await self._talk(lane, link), True
        if isinstance(verdict, Verdict):
            await self._turn_back(lane, verdict, tried=tried)

    async def _sit_down(self, stack: contextlib.AsyncExitStack) -> None:
        await self._slots.take()
        stack.callback(self._slots.give_back)

    def _answered(self, lane: Lane) -> None:
        """Note that a hop answers, and let its whole lane have turns."""
        lane.proven = True
        self._turns.trial_over(lane)
        self._turns.consider(lane)
        self._staff(lane)
        self._wake.set()

    async def _talk(self, lane: Lane, link: Way) -> Verdict | None:
        """Carry parcels until there are no more, or others have waited for the place; gives why no other connection is to be had."""
        until = asyncio.get_running_loop().time() + _TURN
        self._proven.note(lane.hop.name, self._store.now())
        lane.links += 1
        try:
            while (lane.parcels or await self._linger(lane)) and not self._closing:
                parcel = lane.parcels.popleft()
                try:
                    await self._memory.take(parcel.size)
                except BaseException:
                    lane.parcels.appendleft(parcel)
                    raise
                try:
                    opened = await self._carry(lane, parcel, link)
                finally:
                    self._memory.give_back(parcel.size)
                if opened is None or isinstance(opened, Verdict):
                    return opened
                link = opened
                if self._slots.wanted and asyncio.get_running_loop().time() > until:
                    break
            return None
        finally:
            lane.links -= 1
            await link.quit()

    async def _linger(self, lane: Lane) -> bool:
        """Keep a connection a little for parcels that come; tells whether there are any."""
        alone = self._ended.is_set() and not lane.waiting
        if alone or self._slots.wanted or self._closing:
            return False
        lane.arrival.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(lane.arrival.wait(), self._settings.keep_open)
        return bool(lane.parcels)

    async def _reach(self, lane: Lane) -> Way | Verdict:
        """Open a connection, unless it is known that this leads to nothing."""
        if lane.down is not None:
            return lane.down
        until, known = self._out_of_reach.get(lane.hop.name, (0.0, None))
        if known is not None and self._store.now() < until:
            return known
        try:
            return await self._dialler.to(lane.hop)
        except Exception:
            log.error("calling_failed", hop=lane.hop.name, exc_info=True)
            return verdicts.deferred("4.3.0", "Internal error")

    async def _turn_back(self, lane: Lane, verdict: Verdict, *, tried: bool) -> None:
        """Settle what is known of a hop without a connection; while others have one, they carry on, and nobody tries for more."""
        if verdict.fate is Fate.FAILED:
            lane.down, lane.proven = verdict, True
            self._turns.trial_over(lane)
            self._turns.consider(lane)
            while lane.parcels and not self._closing:
                await self._finish(lane, lane.parcels.popleft(), verdict)
        elif lane.links:
            lane.most = lane.links
        elif not self._closing:
            await self._put_off(lane, verdict, tried=tried)

    async def _put_off(self, lane: Lane, verdict: Verdict, *, tried: bool) -> None:
        """Put off all that waits for a hop that cannot be reached; unless one has been tried, that is the parcel that was to go first."""
        now = self._store.now()
        self._out_of_reach = {name: found for name, found in self._out_of_reach.items() if found[0] > now}
        self._out_of_reach[lane.hop.name] = (now + _REMEMBERED, verdict)
        self._proven.forget(lane.hop.name)
        lane.proven = False
        if lane.parcels and not tried:
            await self._finish(lane, lane.parcels.popleft(), verdict)
        self._turns.drop(lane)
        for source in list(lane.sources.values()):
            await self._put_off_source(source, verdict)

    async def _put_off_source(self, source: Source, verdict: Verdict) -> None:
        """Put off a destination, and settle only those of its copies of which somebody is to hear."""
        lane = source.lane
        waiting = [parcel for parcel in lane.parcels if (parcel.scope, parcel.destination) == (source.scope, source.destination)]
        for parcel in waiting:
            lane.parcels.remove(parcel)
        self._turns.withdraw(source)
        source.claimed, source.troubled, source.streak = False, True, 0
        log.info("destination_put_off", scope=source.scope, destination=source.destination, status=verdict.status, reply=verdict.text)
        try:
            given = waiting
            while not self._closing:
                overdue = await self._store.transact(source.scope, _put_off, self._holder, source.destination, verdict, given)
                if not overdue:
                    break
                given = []
                for parcel in overdue:
                    await self._settling.settle(parcel, _for_all(parcel, verdict), None)
        except errors.OrganizationNotFound:
            log.info("queue_gone", scope=source.scope)
        except Exception:
            log.warning("not_put_off", destination=source.destination, exc_info=True)  # claim and leases run out
        for parcel in waiting:
            self._released(source, parcel)
        self._on_wake(source.scope)
        self._tidy(source)

    async def _carry(self, lane: Lane, parcel: Parcel, link: Way | None) -> Way | Verdict | None:
        """Attempt one parcel, settle it, and give back the connection for the next, or why there is none."""
        results: Results | None = None
        raw: bytes | None = None
        opened: Way | Verdict | None = link
        try:
            raw = await self._store.read(parcel.scope, contents.read, parcel.content)
            if lane.hop.scope is not None:
                results = await self._hand_over(lane.hop.scope, parcel, raw)
            elif link is not None:
                opened, results = await self._send(lane, parcel, without_return_path(raw), link)
        except errors.PostroomError as error:
            results = _for_all(parcel, verdicts.deferred("4.3.0", error.text))
        except Exception:
            log.error("carrying_failed", message=parcel.message, domain=parcel.domain, exc_info=True)
            results = _for_all(parcel, verdicts.deferred("4.3.0", "Internal error"))
        finally:
            await self._finish(lane, parcel, results, raw)
        return opened

    async def _send(self, lane: Lane, parcel: Parcel, raw: bytes, link: Way) -> tuple[Way | Verdict, Results]:
        """Send to another server, over the open connection if it still stands."""
        if link.alive and link.sent < self._settings.messages_per_connection:
            with contextlib.suppress(Stale):
                return link, await link.send(parcel, await self._leaving(parcel, raw, link))
        await link.quit()
        opened = await self._reach(lane)
        if isinstance(opened, Verdict):
            return opened, _for_all(parcel, opened)
        return opened, await opened.send(parcel, await self._leaving(parcel, raw, opened))

    async def _leaving(self, parcel: Parcel, raw: bytes, link: Way) -> bytes:
        return await self._signatures.leaving(parcel, raw, eight_bit=link.eight_bit)

    async def _hand_over(self, scope: int, parcel: Parcel, raw: bytes) -> Results:
        """Deliver to another organization of this server."""
        prepared = await self._store.run(contents.prepare, self._store, scope, raw)
        envelope = parcel.envelope
        numbers = [copy.number for copy in parcel.copies]
        deliver = partial(inbound.hand_over, trace=parcel.trace, assessment=parcel.assessment, terms=self._terms)
        outcomes = await self._store.transact(scope, deliver, parcel.scope, numbers, envelope, prepared)
        return [(copy, judge(outcome)) for copy, outcome in zip(parcel.copies, outcomes, strict=True)]

    # Writing down

    async def _finish(self, lane: Lane, parcel: Parcel, results: Results | Verdict | None, raw: bytes | None = None) -> None:
        """Settle what is known; without results the parcel was interrupted and goes back as it was. A verdict is one for all its copies.

        While the carrier closes, a delay says nothing of the next hop: it is our own hanging up.
        """
        source = lane.source(parcel.scope, parcel.destination)
        if isinstance(results, Verdict):
            results = _for_all(parcel, results)
        taken = results is not None and any(verdict.fate is not Fate.DEFERRED for _, verdict in results)
        more = False
        try:
            if results is None or (self._closing and not taken):
                await self._store.transact(parcel.scope, queue.give_back, self._holder, [parcel])
            else:
                back = taken and source.troubled
                more = await self._settling.settle(parcel, results, raw, scope=lane.hop.scope, back=back)
                source.troubled = source.troubled and not taken
        except errors.OrganizationNotFound:
            log.info("queue_gone", scope=parcel.scope)
        except Exception:
            log.warning("not_settled", message=parcel.message, exc_info=True)  # its lease runs out, and it is tried again
        finally:
            self._released(source, parcel)
        if results and not taken:
            self._on_wake(parcel.scope)
            more = not await self._lost_patience(source, results) and more
        elif taken:
            source.streak = 0
        if more and not self._closing:
            self._turns.ask(source)
        self._turns.consider(lane)
        self._wake.set()
        self._tidy(source)

    async def _lost_patience(self, source: Source, results: Results) -> bool:
        """Put off a destination that puts off one letter after the other; tells whether that was so."""
        source.streak += 1
        if source.lane.hop.scope is not None or self._closing or not (source.troubled or source.streak >= _STREAK):
            return False
        await self._put_off_source(source, results[-1][1])
        return True

    def _released(self, source: Source, parcel: Parcel) -> None:
        """Count a parcel among those under way no more."""
        copies = len(parcel.copies)
        self._held.get(parcel.scope, set()).difference_update(copy.number for copy in parcel.copies)
        source.lane.count(source, -copies)
        self._turns.in_flight -= copies
        CARRIED.dec(copies)

    def _tidy(self, source: Source) -> None:
        """Forget a source and a lane of which nothing is left."""
        lane = source.lane
        if not source.leased and not source.waiting:
            lane.sources.pop((source.scope, source.destination), None)
            self._sources.pop((source.scope, source.destination), None)
        if lane.over:
            self._lanes.pop(lane.hop.name, None)


def _look(tx: Tx, limit: int) -> tuple[list[tuple[str, bool]], float | None]:
    """Give the destinations of which something is due, and in how many seconds something will be."""
    return queue.due(tx, limit), queue.next_due(tx)


def _put_off(tx: Tx, holder: str, destination: str, verdict: Verdict, given: Sequence[Parcel]) -> list[Parcel]:
    """Put off a destination and give parcels for it back; those are leased of which somebody is to hear."""
    queue.give_back(tx, holder, given)
    destinations.put_off(tx, destination, verdict)
    return queue.lease_overdue(tx, holder, destination, _OVERDUE)


def _for_all(parcel: Parcel, verdict: Verdict) -> Results:
    return [(copy, verdict) for copy in parcel.copies]
