"""The carrier: takes leased parcels to where they go.

Parcels stand in *lanes*, one for each next hop (`lanes`): another organization of this server, a domain's mail exchangers, or the
smarthost. A few workers walk each lane, every one over one connection that serves parcel after parcel; who carries mail has one of the
places for connections, and lets another have it after a while. A hop that cannot be reached is tried by one worker with one parcel; then
all that waits for it is put off together. What a worker learns of a parcel is settled in one transaction (`settling`). What there is to be
carried is found and leased by `supply`.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import structlog

from postroom.mailbox import contents
from postroom.mailflow import destinations, handover, queue, verdicts
from postroom.mailflow.outbound.demands import Demands
from postroom.mailflow.outbound.dialling import Dialler
from postroom.mailflow.outbound.lanes import Lane, Source
from postroom.mailflow.outbound.link import Link, Results, Stale
from postroom.mailflow.outbound.relay import Relay, RelayLink
from postroom.mailflow.outbound.scales import Scales
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outbound.settling import Settling, judge
from postroom.mailflow.outbound.signatures import Signatures
from postroom.mailflow.outbound.slots import Slots
from postroom.mailflow.outbound.supply import Supply
from postroom.mailflow.outbound.tls_outcome import Sink, ignore
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.mailflow.queue import Parcel
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.trace import without_return_path
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.model import errors
from postroom.storage.engine import Store, Tx

Way = Link | RelayLink
log = structlog.get_logger("postroom.mailflow")

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
        self._supply = Supply(store, self._settings, self._holder, self._staff)
        self._out_of_reach: dict[str, tuple[float, Verdict]] = {}  # until when, by hop
        self._slots = Slots(self._settings.connections)
        self._memory = Scales(self._settings.memory)
        self._closing = False
        self._ended = asyncio.Event()
        self._ended.set()

    async def run(self) -> None:
        """Carry until `close`."""
        self._ended.clear()
        renewing = asyncio.get_running_loop().create_task(self._supply.renew_leases())
        try:
            await self._supply.reclaim()
            await self._supply.run()
        finally:
            renewing.cancel()
            self._ended.set()

    async def sweep(self) -> None:
        """Carry all that is due at this moment, and wait for it."""
        while True:
            scopes = await self._store.run(self._store.scopes)
            for scope in scopes:
                await self._supply.serve(scope)
            await self._supply.feed()  # whoever asked for a turn while the last worker went
            if not self._supply.lanes and not self._supply.woken(scopes):
                return
            while any(lane.workers for lane in self._supply.lanes.values()):
                await self._supply.wake.wait()  # every worker says when it has settled something, and when it is done
                self._supply.wake.clear()
                await self._supply.feed()

    async def close(self, grace: float = 2.0) -> None:
        """Finish what is being sent within `grace` seconds and give the rest back to the queue."""
        self._closing = True
        self._supply.close()
        self._signatures.close()
        for lane in self._supply.lanes.values():
            lane.arrival.set()
        if workers := [task for lane in self._supply.lanes.values() for task in lane.workers]:
            _, late = await asyncio.wait(workers, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._ended.wait()
        for lane in list(self._supply.lanes.values()):
            while lane.parcels:
                await self._finish(lane, lane.parcels.popleft(), None)
        await self._supply.give_up_claims()

    # Carrying

    def _staff(self, lane: Lane) -> None:
        """See that enough workers walk a lane: one until it is known whether it leads anywhere."""
        most = 0 if self._closing else lane.most if lane.proven and lane.down is None else 1
        while len(lane.workers) < min(most, len(lane.parcels)):
            lane.workers.add(asyncio.get_running_loop().create_task(self._walk(lane)))

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
                self._supply.turns.trial_over(lane)
            self._supply.turns.consider(lane)
            self._staff(lane)
            if lane.over:
                self._supply.lanes.pop(lane.hop.name, None)
            self._supply.wake.set()

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
        self._supply.turns.trial_over(lane)
        self._supply.turns.consider(lane)
        self._staff(lane)
        self._supply.wake.set()

    async def _talk(self, lane: Lane, link: Way) -> Verdict | None:
        """Carry parcels until there are no more, or others have waited for the place; gives why no other connection is to be had."""
        until = asyncio.get_running_loop().time() + _TURN
        self._supply.proven.note(lane.hop.name, self._store.now())
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
            self._supply.turns.trial_over(lane)
            self._supply.turns.consider(lane)
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
        self._supply.proven.forget(lane.hop.name)
        lane.proven = False
        if lane.parcels and not tried:
            await self._finish(lane, lane.parcels.popleft(), verdict)
        self._supply.turns.drop(lane)
        for source in list(lane.sources.values()):
            await self._put_off_source(source, verdict)

    async def _put_off_source(self, source: Source, verdict: Verdict) -> None:
        """Put off a destination, and settle only those of its copies of which somebody is to hear."""
        lane = source.lane
        waiting = [parcel for parcel in lane.parcels if (parcel.scope, parcel.destination) == (source.scope, source.destination)]
        for parcel in waiting:
            lane.parcels.remove(parcel)
        self._supply.turns.withdraw(source)
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
            self._supply.released(source, parcel)
        self._supply.woke(source.scope)
        self._supply.tidy(source)

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
        deliver = partial(handover.hand_over, trace=parcel.trace, assessment=parcel.assessment, terms=self._terms)
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
            self._supply.released(source, parcel)
        if results and not taken:
            self._supply.woke(parcel.scope)
            more = not await self._lost_patience(source, results) and more
        elif taken:
            source.streak = 0
        if more and not self._closing:
            self._supply.turns.ask(source)
        self._supply.turns.consider(lane)
        self._supply.wake.set()
        self._supply.tidy(source)

    async def _lost_patience(self, source: Source, results: Results) -> bool:
        """Put off a destination that puts off one letter after the other; tells whether that was so."""
        source.streak += 1
        if source.lane.hop.scope is not None or self._closing or not (source.troubled or source.streak >= _STREAK):
            return False
        await self._put_off_source(source, results[-1][1])
        return True

def _put_off(tx: Tx, holder: str, destination: str, verdict: Verdict, given: Sequence[Parcel]) -> list[Parcel]:
    """Put off a destination and give parcels for it back; those are leased of which somebody is to hear."""
    queue.give_back(tx, holder, given)
    destinations.put_off(tx, destination, verdict)
    return queue.lease_overdue(tx, holder, destination, _OVERDUE)


def _for_all(parcel: Parcel, verdict: Verdict) -> Results:
    return [(copy, verdict) for copy in parcel.copies]
