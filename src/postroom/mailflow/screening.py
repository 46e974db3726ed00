"""Finds out about a stranger's letter, by the network and before any transaction: who sent it, and whether it is wanted.

Nothing here lets a letter in or keeps it out; that is decided in the transaction (`inbound`), by what is found out here. All checks of a
letter share one time and one number of questions, and what is asked twice is asked once.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import structlog

from postroom.mailflow.assessment import Arc, Assessment, Authentication, Dmarc, Result, Signature, Spf
from postroom.mailflow.authentication import arc, dkim, dmarc, iprev, spf
from postroom.mailflow.authentication.questions import Check, Query
from postroom.mailflow.authentication.settings import Settings
from postroom.mailflow.envelopes import Envelope, Source
from postroom.mailflow.filters.filters import Filters
from postroom.mailflow.resolver import NoAnswer, NoSuchName, Resolver

SMALL = 32 * 1024
"""Octets of a letter that is read and hashed at once; more go to a thread."""
MAX_ANSWERS = 100
"""Records of an answer that are looked at."""
log = structlog.get_logger("postroom.mailflow")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A stranger's letter at the door: who brings it, and the content, before which stand `ours` octets that this server has added.

    `size` counts all of them.
    """

    address: str
    hello: str
    envelope: Envelope
    source: Source
    ours: int
    size: int

    def read(self) -> bytes:
        """Give the message as it came."""
        return self.source.read()[self.ours :]


class Screening:
    """All the checks that ask others. `hostname` is the name under which their results stand in the letter.

    Without `reports` it is not kept whom the domain in From wants to hear of its mail, and nothing is counted for it.
    """

    def __init__(
        self,
        filters: Filters | None = None,
        *,
        resolver: Resolver | None = None,
        settings: Settings | None = None,
        hostname: str = "localhost",
        reports: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.filters = filters or Filters()
        self._resolver = resolver
        self._settings = settings or Settings()
        self._hostname = hostname
        self._reports = reports
        self._now = now
        self._relays = [ipaddress.ip_network(text) for text in self._settings.trusted_relays]

    async def meet(self, address: str) -> str:
        """Say why a client may bring no mail, '' if it may."""
        return await self.filters.meet(address)

    async def assess(self, arrival: Arrival) -> Assessment:
        """Find out about a letter; never raises, and never takes long."""
        known = await self._authenticate(self._resolver, arrival) if self._resolver is not None else None
        return Assessment(known, await self.filters.judge(arrival, known), self._hostname)

    async def _authenticate(self, resolver: Resolver, arrival: Arrival) -> Authentication:
        nothing = Authentication(arrival.address, arrival.hello)
        if not self._settings.enabled or self._is_relay(arrival.address):
            return nothing  # which is not what is known of a letter of our own
        try:
            return await self._examine(resolver, arrival)
        except Exception:
            log.exception("authentication_failed")
            return nothing

    async def _examine(self, resolver: Resolver, arrival: Arrival) -> Authentication:
        settings, now = self._settings, self._now()
        large = arrival.size > SMALL
        raw = await asyncio.to_thread(arrival.read) if large else arrival.read()
        letter = await asyncio.to_thread(dkim.Letter, raw) if large else dkim.Letter(raw)
        desk = _Desk(resolver, settings.questions, asyncio.get_running_loop().time() + settings.seconds)
        client = spf.Client(arrival.address, arrival.hello, self._hostname)
        late = Result.TEMPERROR
        (name_result, name), by_spf, signatures, chain = await asyncio.gather(
            desk.run(iprev.check(arrival.address), (late, "")),
            desk.run(spf.check(client, arrival.envelope.sender, now), Spf(late, arrival.envelope.sender.rpartition("@")[2])),
            desk.run(dkim.verify(letter, now), (Signature(late, ""),), aside=large),
            desk.run(arc.verify(letter, now), Arc(late), aside=large),
        )
        domains = dmarc.author_domains(raw)
        evidence = dmarc.Evidence(domains, by_spf, signatures, chain, b"".join(letter.fields.get(b"message-id", ())))
        sealers = frozenset(settings.trusted_sealers)
        missing = Dmarc(late if domains else Result.NONE, domains[0] if domains else "")
        policy = await desk.run(dmarc.check(evidence, walk=settings.tree_walk, sealers=sealers), missing)
        if not self._reports:
            policy = replace(policy, reports=())
        return Authentication(arrival.address, arrival.hello, name_result, name, by_spf, signatures, chain, policy)

    def _is_relay(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._relays)


class _Desk:
    """Asks the questions of a letter's checks: each once, so many in all, until a moment in the loop's time."""

    def __init__(self, resolver: Resolver, questions: int, until: float) -> None:
        self._resolver = resolver
        self._left = questions
        self._until = until
        self._asked: dict[Query, asyncio.Future[list[str] | Exception]] = {}

    async def run(self, check: Check[T], late: T, *, aside: bool = False) -> T:
        """Run a check to its result; `late` when there is none in time. Steps that take long go `aside`, to a thread."""
        try:
            async with asyncio.timeout_at(self._until):
                value: list[str] | Exception | None = None
                while True:
                    query, result = await asyncio.to_thread(_step, check, value) if aside else _step(check, value)
                    if query is None:
                        return cast(T, result)
                    value = await self._answer(query)
        except TimeoutError:
            return late

    async def _answer(self, query: Query) -> list[str] | Exception:
        """Give the answer, or the exception that says why there is none."""
        if query in self._asked:
            return await asyncio.shield(self._asked[query])
        if self._left <= 0:
            return NoAnswer("too many questions")
        self._left -= 1
        future = self._asked[query] = asyncio.get_running_loop().create_future()
        answer: list[str] | Exception = NoAnswer(query.name)
        try:
            answer = (await self._ask(query))[:MAX_ANSWERS]
        except (NoSuchName, NoAnswer) as error:
            answer = error
        except (ValueError, UnicodeError):  # a name that no question can be made of
            answer = NoSuchName(query.name)
        finally:
            future.set_result(answer)
        return answer

    async def _ask(self, query: Query) -> list[str]:
        match query.kind:
            case "TXT":
                return await self._resolver.texts(query.name)
            case "A":
                return await self._resolver.ipv4(query.name)
            case "AAAA":
                return await self._resolver.ipv6(query.name)
            case "MX":
                return [host for _, host in await self._resolver.exchanges(query.name)]
            case _:
                return await self._resolver.names(ipaddress.ip_address(query.name).reverse_pointer)


def _step(check: Check[T], value: list[str] | Exception | None) -> tuple[Query | None, Any]:
    """Run a check to its next question, or to its result."""
    try:
        query = check.throw(value) if isinstance(value, Exception) else check.send(value)  # type: ignore[arg-type]
    except StopIteration as done:
        return None, done.value
    return query, None
