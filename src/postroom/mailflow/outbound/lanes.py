"""Lanes of parcels, one for each next hop, and whose turn it is to take more from the queue.

A next hop that has answered of late is *proven*. Lanes to those take turns, and share what may be in flight; none has more of it than its
share, so a slow one keeps nobody waiting. Every other lane is *on trial*: it takes a single parcel and no place among the connections that
carry mail, until a server answers. There is much room for trials, as they cost little more than a socket; for hops known to be out of
reach there is half of it. Of the others the one that has waited longest and the one that came last are served alternately, so that a
thousand dead hops do not keep a newcomer waiting, nor newcomers them for ever.
"""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

from postroom.mailflow.outbound.hops import Hop
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.queue import Parcel
from postroom.mailflow.verdicts import Verdict

PROVEN = 3600.0
"""Seconds for which a hop that has answered counts as one that answers."""
MAX_PROVEN = 10_000
Trial = Literal["", "fresh", "troubled"]


@dataclass(slots=True, eq=False)
class Source:
    """What one organization has queued for one destination.

    `claimed` says that no other carrier takes of it, `troubled` that nobody there has taken a letter of late, after `streak` attempts.
    """

    scope: int
    destination: str
    lane: "Lane"
    leased: int = 0
    waiting: bool = False
    claimed: bool = False
    troubled: bool = False
    streak: int = 0


@dataclass(slots=True, eq=False)
class Lane:
    """Parcels on their way to one next hop, from sources of which some wait for a turn to take more; `down` is why it never takes any."""

    hop: Hop
    most: int
    proven: bool
    down: Verdict | None = None
    trial: Trial = ""
    in_turn: bool = False
    links: int = 0
    leased: int = 0
    sources: dict[tuple[int, str], Source] = field(default_factory=dict)
    waiting: deque[Source] = field(default_factory=deque)
    parcels: deque[Parcel] = field(default_factory=deque)
    workers: set["asyncio.Task[None]"] = field(default_factory=set)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        """Say whether nothing is left to do."""
        return not (self.workers or self.parcels or self.waiting or self.leased)

    def source(self, scope: int, destination: str) -> Source:
        """Give a source, which is a new one if there is none of that name."""
        key = (scope, destination)
        if key not in self.sources:
            self.sources[key] = Source(scope, destination, self)
        return self.sources[key]

    def add(self, source: Source, parcel: Parcel) -> None:
        """Take in a parcel that has been leased."""
        self.parcels.append(parcel)
        self.count(source, len(parcel.copies))

    def count(self, source: Source, copies: int) -> None:
        """Count copies that have been leased, or with a negative number settled."""
        source.leased += copies
        self.leased += copies


@dataclass(frozen=True, slots=True)
class Turn:
    """So many copies may be leased from a source."""

    source: Source
    most: int


class Turns:
    """Says whose turn it is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proven: deque[Lane] = deque()
        self._fresh: deque[Lane] = deque()
        self._troubled: deque[Lane] = deque()
        self._last_first = False
        self._trials = {"fresh": 0, "troubled": 0}
        self.in_flight = 0

    def ask(self, source: Source) -> None:
        """Put a source in the queue of its lane, and its lane among those that wait for a turn."""
        if not source.waiting:
            source.waiting = True
            source.lane.waiting.append(source)
        self.consider(source.lane)

    def consider(self, lane: Lane) -> None:
        """Let a lane wait for a turn, if it wants one and may have one."""
        if not lane.waiting or lane.in_turn or lane.trial:
            return
        if lane.proven:
            if lane.leased > self._share(lane) // 2:
                return
            self._proven.append(lane)
        else:
            (self._troubled if lane.waiting[0].troubled else self._fresh).append(lane)
        lane.in_turn = True

    def proven(self) -> list[Turn]:
        """Give the turns for which there is room among proven hops; a lane that has nothing under way has a little in any case.

        What may be leased counts as being in flight until `taken` says how much it was.
        """
        turns, full = [], []
        while self._proven:
            lane = self._proven.popleft()
            room = self._settings.in_flight - self.in_flight
            if room <= 0 and lane.leased and lane.waiting:
                full.append(lane)
                continue
            lane.in_turn = False
            if lane.waiting:
                most = min(self._share(lane) - lane.leased, max(room, self._settings.connections_per_domain))
                turns.append(self._begin(lane, most))
        self._proven.extend(full)
        return turns

    def trials(self, most: int) -> list[Turn]:
        """Give up to so many of the trials for which there is room."""
        turns: list[Turn] = []
        while len(turns) < most and (lane := self._next_on_trial()) is not None:
            lane.in_turn = False
            if lane.waiting:
                lane.trial = "troubled" if lane.waiting[0].troubled else "fresh"
                self._trials[lane.trial] += 1
                turns.append(self._begin(lane, 1))
        return turns

    def taken(self, turn: Turn, copies: int) -> None:
        """Note how much was leased."""
        self.in_flight += copies - turn.most

    def trial_over(self, lane: Lane) -> None:
        """Note that it is known by now whether a lane leads anywhere."""
        if lane.trial:
            self._trials[lane.trial] -= 1
            lane.trial = ""

    def withdraw(self, source: Source) -> None:
        """Let a source wait no more."""
        if source.waiting:
            source.waiting = False
            source.lane.waiting.remove(source)

    def drop(self, lane: Lane) -> None:
        """Let none of a lane's sources wait any more."""
        for source in lane.waiting:
            source.waiting = False
        lane.waiting.clear()

    def _next_on_trial(self) -> Lane | None:
        running, room = sum(self._trials.values()), self._settings.attempts
        if self._fresh and running < room:
            self._last_first = not self._last_first
            return self._fresh.pop() if self._last_first else self._fresh.popleft()
        if self._troubled and running < room and self._trials["troubled"] < max(room // 2, 1):
            return self._troubled.popleft()
        return None

    def _begin(self, lane: Lane, most: int) -> Turn:
        source = lane.waiting.popleft()
        source.waiting = False
        turn = Turn(source, 1 if source.troubled else max(most, 1))
        self.in_flight += turn.most
        return turn

    def _share(self, lane: Lane) -> int:
        whole = self._settings.in_flight
        return whole if lane.hop.shared else min(whole, self._settings.in_flight_per_destination)


class Proven:
    """Remembers which next hops have answered of late."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, float] = OrderedDict()

    def note(self, name: str, now: float) -> None:
        """Note that a hop has answered."""
        self._since[name] = now
        self._since.move_to_end(name)
        while len(self._since) > MAX_PROVEN:
            self._since.popitem(last=False)

    def forget(self, name: str) -> None:
        """Note that it does not."""
        self._since.pop(name, None)

    def knows(self, name: str, now: float) -> bool:
        """Say whether it has answered of late."""
        return now - self._since.get(name, -PROVEN) < PROVEN
