"""Writing down what became of a parcel: one transaction that takes its copies out of the queue or puts them back, and tells who is to hear.

Copies that arrived leave the queue, those that failed become a bounce, the others get their next time.
"""

from dataclasses import dataclass, replace

import structlog
from prometheus_client import Counter

from postroom.formats import message
from postroom.formats.message import Letterhead
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import bounces, destinations, queue, verdicts
from postroom.mailflow.handover import Outcome
from postroom.mailflow.outbound.link import Results
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outbound.story import Story
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.queue import Copy, Parcel
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.model import errors
from postroom.storage.engine import Store, Tx

ATTEMPTS = Counter("postroom_mailflow_attempts", "Attempts to deliver a queued copy, by outcome", ["outcome"])
BOUNCES = Counter("postroom_mailflow_bounces", "Delivery status notifications", ["action"])
log = structlog.get_logger("postroom.mailflow")


@dataclass(frozen=True, slots=True)
class Notice:
    """A report about some copies, ready to be sent unless they have been lost to another holder."""

    copies: frozenset[int]
    prepared: Prepared


class Settling:
    """Settles the parcels of one holder."""

    def __init__(self, store: Store, settings: Settings, holder: str, terms: Terms) -> None:
        self._store = store
        self._settings = settings
        self._holder = holder
        self._terms = terms

    async def settle(self, parcel: Parcel, results: Results, raw: bytes | None, *, scope: int | None = None, back: bool = False) -> bool:
        """Write down results and tell whether more is due at the destination.

        `raw` is the letter, if it has been read already, `scope` where it went, if here; `back` says that its destination had been out of
        reach.
        """
        age = self._store.now() - parcel.queued_at
        final = [_final(parcel, copy, verdict, age) for copy, verdict in results]
        for copy, verdict in final:
            _note(parcel, copy, verdict)
        told = {action: chosen for action, chosen in self._told(parcel, final, age, here=scope is not None).items() if chosen}
        gone = any(verdict.fate is not Fate.DEFERRED for _, verdict in final)
        if raw is None and (told or (gone and parcel.author)):
            try:
                raw = await self._store.read(parcel.scope, contents.read, parcel.content)
            except errors.PostroomError as error:
                if not queue.expired(age, parcel.lifetime):
                    return await self.settle(parcel, _unread(final, error), b"", scope=scope)
        notices = [await self._notice(parcel, chosen, raw or b"", action) for action, chosen in told.items()]
        story = Story(parcel, message.letterhead(raw) if raw and gone and parcel.author else Letterhead(), scope)
        warned = frozenset(copy.number for copy, _ in told.get("delayed", ()))
        known = (self._holder, story, final, notices, warned)
        return await self._store.transact(parcel.scope, _write_down, *known, back, self._terms)

    def _told(self, parcel: Parcel, final: Results, age: float, *, here: bool) -> dict[str, Results]:
        """Sort out of what the sender is to hear; of success by us, unless whoever has taken it sees to that (RFC 3461 §5.2)."""
        if not bounces.wanted(parcel):
            return {}
        success = [(copy, verdict) for copy, verdict in final if verdict.fate is Fate.DELIVERED and copy.wish.success]
        return {
            "failed": [(copy, verdict) for copy, verdict in final if verdict.fate is Fate.FAILED and copy.wish.failure],
            "delayed": [(copy, verdict) for copy, verdict in final if self._warns(parcel, copy, verdict, age)],
            "delivered" if here else "relayed": [(copy, verdict) for copy, verdict in success if not verdict.confirms],
        }

    def _warns(self, parcel: Parcel, copy: Copy, verdict: Verdict, age: float) -> bool:
        waiting = verdict.fate is Fate.DEFERRED and not copy.warned and age >= queue.WARNING
        if not waiting or not copy.wish.delay:
            return False
        return bool(copy.wish.notify) or (self._settings.warn and bool(parcel.author))

    async def _notice(self, parcel: Parcel, chosen: Results, raw: bytes, action: str) -> Notice:
        BOUNCES.labels(action).inc()
        prepared = await self._store.run(bounces.prepare, self._store, self._settings.hostname, parcel, chosen, raw, action)
        return Notice(frozenset(copy.number for copy, _ in chosen), prepared)


def _note(parcel: Parcel, copy: Copy, verdict: Verdict) -> None:
    outcome = verdict.fate.name.lower()
    ATTEMPTS.labels(outcome).inc()
    log.info(
        "attempt",
        scope=parcel.scope,
        message=parcel.message,
        to=copy.recipient,
        outcome=outcome,
        status=verdict.status,
        host=verdict.host,
        reply=verdict.text,
        tls=verdict.tls,
    )


def _write_down(
    tx: Tx, holder: str, story: Story, results: Results, notices: list[Notice], warned: frozenset[int], back: bool, terms: Terms
) -> bool:
    """Settle a parcel in one transaction; copies that another holder has taken over are left to that one."""
    parcel = story.parcel
    ours = [(copy, verdict) for copy, verdict in results if verdict.fate is Fate.DEFERRED or queue.done(tx, holder, copy)]
    for copy, verdict in ours:
        if verdict.fate is Fate.DEFERRED:
            if queue.postpone(tx, holder, parcel, copy, verdict.text, warned=copy.warned or copy.number in warned):
                story.delay(tx, copy, verdict)
        else:
            story.tell(tx, copy, verdict)
    numbers = {copy.number for copy, _ in ours}
    for notice in notices:
        if not notice.copies.isdisjoint(numbers):
            bounces.send(tx, parcel, notice.prepared, terms)
    if back:
        destinations.welcome_back(tx, parcel.destination)
    return destinations.leave(tx, parcel.destination)


def _final(parcel: Parcel, copy: Copy, verdict: Verdict, age: float) -> tuple[Copy, Verdict]:
    """Turn a delay that has lasted too long into a failure; the last reply says why."""
    if verdict.fate is not Fate.DEFERRED or not queue.expired(age, parcel.lifetime):
        return copy, verdict
    return copy, replace(verdict, fate=Fate.FAILED, status="4.4.7" if verdict.status == "4.4.1" else verdict.status)


def _unread(results: Results, error: errors.PostroomError) -> Results:
    """Let those wait of whose end nobody could be told, as the letter cannot be read just now."""
    waiting = verdicts.deferred("4.3.0", error.text)
    return [(copy, waiting if verdict.fate is Fate.FAILED else verdict) for copy, verdict in results]


def judge(outcome: Outcome) -> Verdict:
    """Judge a delivery on this server; a full mailbox may be emptied. What was taken and lies in no mailbox is not confirmed."""
    if not isinstance(outcome, errors.PostroomError):
        return Verdict(Fate.DELIVERED, "2.0.0", "Delivered" if outcome is None else "Taken", confirms=outcome is not None)
    if isinstance(outcome, errors.OverQuota):
        return verdicts.deferred("4.2.2", outcome.text)
    if isinstance(outcome, errors.LetterRefused):
        return verdicts.failed("5.7.1", outcome.text)
    return verdicts.failed("5.1.1", outcome.text)
