"""What the carrier takes from the queue: destinations of which something is due get their turns, and parcels are leased into lanes.

What is leased is kept so until it has been settled, and a destination of which more is due than there is room for is claimed, so that other
carriers leave it alone.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog
from prometheus_client import Gauge

from postroom.mailflow import destinations, queue
from postroom.mailflow.outbound.hops import Hops
from postroom.mailflow.outbound.lanes import Lane, Proven, Source, Turn, Turns
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.queue import Parcel
from postroom.model import errors
from postroom.storage.engine import Store, Tx

CARRIED = Gauge("postroom_mailflow_in_flight", "Queued copies that are being carried")
log = structlog.get_logger("postroom.mailflow")

_LONGEST_SLEEP = 300.0
_RESCAN = 60.0
_PAGE = 1000
_TRIALS_AT_ONCE = 16


class Supply:
    """Leases for one carrier, the `holder`; `staff` sees to it that somebody walks a lane in which a parcel has come to stand."""

    def __init__(self, store: Store, settings: Settings, holder: str, staff: Callable[[Lane], None]) -> None:
        self._store = store
        self._settings = settings
        self._holder = holder
        self._staff = staff
        self._hops = Hops(store, settings)
        self.turns = Turns(settings)
        self.proven = Proven()
        self.lanes: dict[str, Lane] = {}
        self._sources: dict[tuple[int, str], Source] = {}
        self._held: dict[int, set[int]] = {}  # leased row numbers by scope
        self._woken: dict[int, None] = {}  # in the order in which they are served
        self.wake = asyncio.Event()
        self._due: dict[int, float] = {}  # when to look again, in the loop's time, by scope
        self._closing = False
        self._stop_listening = store.notifier.on(queue.TOPIC, self.woke)

    async def run(self) -> None:
        """Find work until it is closed."""
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
            await self.feed()
            await self._sleep(min([rescan_at, *self._due.values()]) - loop.time())

    def close(self) -> None:
        """Lease no more."""
        self._closing = True
        self._stop_listening()
        self.wake.set()

    def woke(self, scope: int) -> None:
        """Look at a scope again."""
        self._woken[scope] = None
        self.wake.set()

    def woken(self, scopes: Iterable[int]) -> bool:
        """Say whether one of some scopes is to be looked at again."""
        return not self._woken.keys().isdisjoint(scopes)

    async def _sleep(self, seconds: float) -> None:
        if self._woken or self._closing:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wake.wait(), max(min(seconds, _LONGEST_SLEEP), 0.05))
        self.wake.clear()

    async def reclaim(self) -> None:
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
            await self.serve(scope)
        except errors.OrganizationNotFound:
            log.info("queue_gone", scope=scope)  # deleted, and its queue with it
        except Exception:
            log.warning("queue_not_served", scope=scope, exc_info=True)
            self._due[scope] = asyncio.get_running_loop().time() + _RESCAN

    async def serve(self, scope: int) -> None:
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
            await self.feed()
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
            lane = self.lanes.get(hop.name)
            if lane is None:
                proven = hop.scope is not None or self.proven.knows(hop.name, self._store.now())
                lane = self.lanes[hop.name] = Lane(hop, self._hops.most(hop), proven)
            source = self._sources[scope, name] = lane.source(scope, name)
            source.troubled = blocked and hop.scope is None
        source.claimed = False
        self.turns.ask(source)

    async def feed(self) -> None:
        """Lease as much as there is room for, first for hops that answer."""
        while not self._closing:
            turns = self.turns.proven() or self.turns.trials(_TRIALS_AT_ONCE)
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
        self.turns.taken(turn, copies)
        if not copies:
            self.turns.trial_over(lane)
        for parcel in fresh:
            if parcel.copies:
                self._queue_up(source, parcel)
        if more and not (source.troubled and copies):  # what becomes of the first decides about the others
            self.turns.ask(source)
        self.tidy(source)

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

    async def renew_leases(self) -> None:
        """Keep what is leased and claimed, as long as this runs."""
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

    async def give_up_claims(self) -> None:
        """Let others have what is claimed."""
        for source in [source for source in self._sources.values() if source.claimed]:
            with contextlib.suppress(Exception):  # it runs out
                await self._store.transact(source.scope, destinations.let_go, source.destination)

    def released(self, source: Source, parcel: Parcel) -> None:
        """Count a parcel among those under way no more."""
        copies = len(parcel.copies)
        self._held.get(parcel.scope, set()).difference_update(copy.number for copy in parcel.copies)
        source.lane.count(source, -copies)
        self.turns.in_flight -= copies
        CARRIED.dec(copies)

    def tidy(self, source: Source) -> None:
        """Forget a source and a lane of which nothing is left."""
        lane = source.lane
        if not source.leased and not source.waiting:
            lane.sources.pop((source.scope, source.destination), None)
            self._sources.pop((source.scope, source.destination), None)
        if lane.over:
            self.lanes.pop(lane.hop.name, None)


def _look(tx: Tx, limit: int) -> tuple[list[tuple[str, bool]], float | None]:
    """Give the destinations of which something is due, and in how many seconds something will be."""
    return queue.due(tx, limit), queue.next_due(tx)
