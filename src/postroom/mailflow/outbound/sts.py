"""What domains ask of their senders by MTA-STS: found among the policies that are kept, or fetched (RFC 8461).

A domain announces the id of its policy by a TXT record. An id that is not known yet has the policy fetched, which the first letter waits
for. A policy that is kept holds until it expires, whatever becomes of the record and the policy host, since both are what somebody who is
on the way would take away; therefore it is fetched again every day while mail goes there (§3.3, §10.2). Where a fetch has failed,
nobody tries the same for five minutes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from postroom.formats import sts_policy
from postroom.formats.sts_policy import StsPolicy
from postroom.mailflow.outbound import policy_host
from postroom.mailflow.outbound.policy_host import Failed
from postroom.mailflow.outbound.sts_settings import Settings
from postroom.mailflow.outbound.tls_outcome import Result
from postroom.mailflow.resolver import NoAnswer, NoSuchName, Resolver
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import sts_policies
from postroom.storage.queries.sts_policies import Cached

DAY = 86_400.0
KEPT_FRESH_DAYS = 30
"""For how long after the last letter to a domain its policy is fetched every day."""
AGAIN_SECONDS = 3600.0
"""When a policy is tried again that was due and could not be fetched."""
PAUSE_SECONDS = 300.0
"""For how long what could not be fetched is not asked for again (RFC 8461 §3.3)."""
AT_ONCE = 32
"""Policies that are fetched at once; letters wait for half of them at least, those that are due have the other half."""
LOOK_SECONDS = 300.0
_PAGE = 200
_MOST_REMEMBERED = 10_000
T = TypeVar("T")

log = structlog.get_logger("postroom.mailflow")


@dataclass(frozen=True, slots=True)
class Found:
    """A domain's policy, or None and, where it announces one, why it is not known."""

    policy: StsPolicy | None = None
    flaw: Result = ""
    details: str = ""


NOTHING = Found()


class Policies:
    """The policies of other domains; those that are kept are shared by all processes on one store."""

    def __init__(self, store: Store, resolver: Resolver, settings: Settings) -> None:
        self._store = store
        self._resolver = resolver
        self._settings = settings
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[str, asyncio.Task[Found]] = {}
        self._running: asyncio.Task[None] | None = None
        self._failures: OrderedDict[str, tuple[str, float, Found]] = OrderedDict()  # id and until when, by domain
        self._unanswered: OrderedDict[str, float] = OrderedDict()  # until when nobody is asked about a domain's record

    def start(self) -> None:
        """Keep policies fresh until `close`, where they are of use."""
        if self._settings.enabled:
            self._running = asyncio.create_task(self._run(), name="sts-policies")

    async def _run(self) -> None:
        while True:
            try:
                await self.refresh()
            except Exception:
                log.warning("sts_policies_not_refreshed", exc_info=True)
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """End, and give up what is being fetched."""
        under_way = [*self._under_way.values(), *([self._running] if self._running else [])]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def find(self, domain: str) -> Found:
        """Find a domain's policy, fetching it if it is new."""
        kept = await self._store.look(REGISTRY, sts_policies.find, domain)
        announced = await self._announced(domain)
        if announced is None or (kept is not None and kept.id == announced):
            return await self._used(kept)
        fresh = await self._update(domain, announced)
        return await self._used(kept) if fresh.policy is None and kept is not None else fresh

    async def refresh(self) -> int:
        """Fetch again what is due, forget what has expired or is too much; counts policies that were fetched."""
        fetched = 0
        while due := await self._store.transact(REGISTRY, _claim):
            results = await asyncio.gather(*(self._again(kept) for kept in due))
            fetched += sum(results)
        await self._store.transact(REGISTRY, _tidy, self._settings.cached)
        return fetched

    async def _used(self, kept: Cached | None) -> Found:
        """Give a policy that is kept, and note once a day that it is of use."""
        if kept is None:
            return NOTHING
        if kept.used_at < self._store.now() - DAY:
            await self._store.transact(REGISTRY, sts_policies.touch, kept.domain)
        return Found(kept.policy)

    async def _announced(self, domain: str) -> str | None:
        """Give the id that a domain announces; None where it announces none or nobody can say (RFC 8461 §3.1).

        There are name servers that never answer for such a name; letters are not to wait for that one by one.
        """
        if self._store.now() < self._unanswered.get(domain, 0.0):
            return None
        try:
            return sts_policy.identifier(await self._resolver.texts(f"_mta-sts.{domain}"))
        except NoSuchName:
            return None
        except NoAnswer:
            _remember(self._unanswered, domain, self._store.now() + PAUSE_SECONDS)
            return None

    async def _update(self, domain: str, id: str) -> Found:
        """Fetch a policy, once however many wait for it, unless that has just failed."""
        known, until, failure = self._failures.get(domain, ("", 0.0, NOTHING))
        if known == id and self._store.now() < until:
            return failure
        task = self._under_way.get(domain)
        if task is None:
            task = self._under_way[domain] = asyncio.create_task(self._fetch(domain, id), name=f"sts-{domain}")
            task.add_done_callback(lambda _: self._under_way.pop(domain, None))
        return await asyncio.shield(task)

    async def _again(self, kept: Cached) -> bool:
        """Fetch a policy that is due, and warn where that is in vain (RFC 8461 §3.3)."""
        found = await self._update(kept.domain, await self._announced(kept.domain) or kept.id)
        if found.policy is None and kept.policy.mode != "none":
            log.warning("sts_policy_not_refreshed", domain=kept.domain, result=found.flaw, details=found.details)
        return found.policy is not None

    async def _fetch(self, domain: str, id: str) -> Found:
        async with self._turns:
            try:
                policy = await policy_host.fetch(domain, self._resolver, self._settings)
            except Failed as error:
                failure = Found(None, error.result, error.details)
                _remember(self._failures, domain, (id, self._store.now() + PAUSE_SECONDS, failure))
                log.info("sts_policy_not_fetched", domain=domain, result=error.result, details=error.details)
                return failure
        await self._store.transact(REGISTRY, _save, domain, id, policy, self._settings.cached)
        log.info("sts_policy_fetched", domain=domain, mode=policy.mode, max_age=policy.max_age)
        return Found(policy)


def _remember(memory: OrderedDict[str, T], domain: str, value: T) -> None:
    """Note something of a domain, and forget what was noted first where that is too much."""
    memory.pop(domain, None)
    memory[domain] = value
    if len(memory) > _MOST_REMEMBERED:
        memory.popitem(last=False)


def _save(tx: Tx, domain: str, id: str, policy: StsPolicy, most: int) -> None:
    """Keep a policy; it is fetched again after a day, or half of its time, but never sooner than in an hour."""
    sts_policies.save(tx, domain, id, policy, refresh_at=tx.now + max(min(DAY, policy.max_age / 2), AGAIN_SECONDS))
    sts_policies.shrink(tx, most=most)


def _claim(tx: Tx) -> Sequence[Cached]:
    used_after = tx.now - KEPT_FRESH_DAYS * DAY
    domains = sts_policies.claim(tx, used_after=used_after, again_at=tx.now + AGAIN_SECONDS, limit=AT_ONCE // 2)
    return [kept for domain in domains if (kept := sts_policies.find(tx, domain))]


def _tidy(tx: Tx, most: int) -> None:
    while sts_policies.purge(tx, limit=_PAGE):
        pass
    sts_policies.shrink(tx, most=most)
