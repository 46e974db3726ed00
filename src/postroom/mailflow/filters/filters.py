"""All that is asked whether a stranger's letter is wanted, at once and each within its time."""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Histogram

from postroom.mailflow.assessment import Authentication, Content
from postroom.mailflow.filters import attachments, clamav, header_signs, opinions, rspamd, spamassassin, wire
from postroom.mailflow.filters.blocklists import Lists
from postroom.mailflow.filters.opinions import Opinion
from postroom.mailflow.filters.settings import Greylisting, Settings
from postroom.mailflow.filters.wire import Breaker, Resting, Unavailable
from postroom.mailflow.resolver import Resolver

if TYPE_CHECKING:
    from postroom.mailflow.screening import Arrival

FAILURES = Counter("postroom_filter_failures", "Letters that a filter gave no opinion of", ["filter"])
SECONDS = Histogram("postroom_filter_seconds", "How long a filter took over a letter", ["filter"])
_SHORT = 32_768
"""Letters up to that many octets are looked at where they are: a thread would take longer."""
log = structlog.get_logger("postroom.filters")


class Filters:
    """Every filter that is configured. `trusted` are networks whose clients are not looked up in lists."""

    def __init__(
        self,
        settings: Settings | None = None,
        resolver: Resolver | None = None,
        *,
        trusted: tuple[str, ...] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings = settings or Settings()
        self._now = now
        self._trusted = [ipaddress.ip_network(text) for text in trusted]
        self._rspamd = rspamd.Client(settings.rspamd) if settings.rspamd.address else None
        self._spamassassin = spamassassin.Client(settings.spamassassin) if settings.spamassassin.address else None
        self._clamav = clamav.Client(settings.clamav) if settings.clamav.address else None
        lists = settings.blocklists
        self._meets = bool(lists.refuse or lists.reverse_name == "refuse")
        self._scores = bool(lists.score or lists.domains or lists.reverse_name == "score")
        self._lists = Lists(lists, resolver or Resolver(), now) if self._meets or self._scores else None
        self._breakers = {name: Breaker(time.monotonic) for name in (rspamd.NAME, spamassassin.NAME, clamav.NAME)}
        self._waiting = bool(self._rspamd or self._spamassassin or self._clamav or self._scores)
        self._idle = not (self._waiting or settings.headers or attachments.wanted(settings))

    @property
    def greylisting(self) -> Greylisting | None:
        """Give how strangers are told to come again, None if they are not."""
        return self.settings.greylisting if self.settings.greylisting.enabled else None

    @property
    def meets(self) -> bool:
        """Say whether clients are looked up before they name a recipient."""
        return self._meets

    async def meet(self, address: str) -> str:
        """Say why a client may bring no mail, '' if it may."""
        if not self._meets or self._lists is None or self.trusts(address):
            return ""
        return await self._lists.refusal(address)

    def trusts(self, address: str) -> bool:
        """Say whether an address lies in a trusted network."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._trusted)

    async def judge(self, arrival: "Arrival", authentication: Authentication | None = None) -> Content:
        """Give the verdict on a letter; never raises."""
        if self._idle:
            return Content()
        whole, raw, own = await self._seen(arrival)
        asked = []
        if self._waiting and not own.refuse:
            name = authentication.name if authentication else ""
            asked = await asyncio.gather(*self._questions(arrival, whole, raw, name))
        ours = [own, *(opinion for source, opinion in asked if not source)]
        others = [opinion for source, opinion in asked if source]
        return opinions.combine([opinions.add(ours), *others], refuse_score=self.settings.refuse_score)

    async def _seen(self, arrival: "Arrival") -> tuple[bytes, bytes, Opinion]:
        """Read a letter, with our lines and without, and look at it; a long one in a thread, as others wait meanwhile."""
        if arrival.size <= _SHORT:
            return self._examine(arrival)
        return await asyncio.to_thread(self._examine, arrival)

    def _examine(self, arrival: "Arrival") -> tuple[bytes, bytes, Opinion]:
        whole = arrival.source.read()
        raw = whole[arrival.ours :]
        return whole, raw, self._look(raw)

    def _look(self, raw: bytes) -> Opinion:
        """Look at a letter without asking anybody; what goes wrong is logged and says nothing of the letter."""
        settings, seen = self.settings, []
        try:
            if settings.headers:
                seen.append(header_signs.look(raw, self._now()))
            if attachments.wanted(settings):
                seen.append(attachments.look(raw, settings))
        except Exception:
            log.exception("look_failed")
        return opinions.add(seen)

    def _questions(self, arrival: "Arrival", whole: bytes, raw: bytes, name: str) -> list[Awaitable[tuple[str, Opinion]]]:
        settings = self.settings
        found: list[Awaitable[tuple[str, Opinion]]] = []
        if self._lists and self._scores and not self.trusts(arrival.address):
            found.append(self._listed(self._lists, arrival, raw))
        if one := self._rspamd:
            part = wire.shown(raw, settings.rspamd.largest, settings.larger)
            found.append(self._ask(rspamd.NAME, settings.rspamd.unavailable, part, lambda seen: one.ask(arrival, seen, name)))
        if two := self._spamassassin:
            part = wire.shown(whole, settings.spamassassin.largest, settings.larger)
            found.append(self._ask(spamassassin.NAME, settings.spamassassin.unavailable, part, two.ask))
        if three := self._clamav:
            part = wire.shown(raw, settings.clamav.largest, settings.larger)
            found.append(self._ask(clamav.NAME, settings.clamav.unavailable, part, three.ask))
        return found

    async def _listed(self, lists: Lists, arrival: "Arrival", raw: bytes) -> tuple[str, Opinion]:
        try:
            return "", await lists.opinion(arrival.address, arrival.envelope.sender, raw)
        except Exception:
            log.exception("blocklists_failed")
            return "", Opinion()

    async def _ask(
        self, name: str, unavailable: str, part: bytes | None, ask: Callable[[bytes], Awaitable[Opinion]]
    ) -> tuple[str, Opinion]:
        """Ask one filter; its failure is an opinion, too."""
        if part is None:
            return name, Opinion()
        breaker, started = self._breakers[name], time.monotonic()
        try:
            if breaker.open:
                raise Resting("it has not answered lately")
            opinion = await ask(part)
        except Exception as error:
            if not isinstance(error, Unavailable):
                log.exception("filter_failed", filter=name)
            if not isinstance(error, Resting):
                breaker.failed()
            return name, self._missed(name, unavailable, error)
        breaker.succeeded()
        SECONDS.labels(name).observe(time.monotonic() - started)
        return name, opinion

    def _missed(self, name: str, unavailable: str, error: Exception) -> Opinion:
        FAILURES.labels(name).inc()
        kind = "malware" if name == clamav.NAME else "spam"
        log.warning("filter_unavailable", filter=name, reason=str(error))
        return Opinion(failed=kind, defer="The message cannot be examined now" if unavailable == "defer" else "")
