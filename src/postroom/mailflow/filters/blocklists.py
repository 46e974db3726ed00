"""Lists in DNS of addresses and domains that send junk (RFC 5782).

An address is listed in a zone when its octets, turned round, have an A record there. Only 127.0.0.0/8 is a listing: other answers come from
a zone whose owner has given it up. 127.255.255.0/24 says that the question was refused, as by lists that do not serve public resolvers.
A zone that lists 127.0.0.1 lists everything, and is not believed for an hour (§5).
"""

import asyncio
import ipaddress
from collections.abc import Callable, Iterable

import structlog

from postroom.formats import headers
from postroom.mailflow.filters.opinions import Opinion
from postroom.mailflow.filters.settings import Blocklists
from postroom.mailflow.resolver import NoAnswer, NoSuchName, Resolver

MOST_DOMAINS = 4
"""Domains of one letter that are asked about."""
NO_NAME_SCORE = 0.3
_TRUST_SECONDS = 3600.0
_LISTING = ipaddress.ip_network("127.0.0.0/8")
_REFUSAL = ipaddress.ip_network("127.255.255.0/24")
log = structlog.get_logger("postroom.filters")


def question(address: str) -> str:
    """Spell an address as it is asked about, '' for what is none or nobody outside has (RFC 5782 §2.1, §2.4)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.reverse_pointer.rpartition(".in-addr.arpa" if parsed.version == 4 else ".ip6.arpa")[0]


def is_listing(answers: Iterable[str]) -> bool:
    """Say whether A records say that something is listed."""
    parsed = [ipaddress.ip_address(answer) for answer in answers]
    return any(one in _LISTING and one not in _REFUSAL for one in parsed)


class Lists:
    """All the lists that are asked; remembers which cannot be believed."""

    def __init__(self, settings: Blocklists, resolver: Resolver, now: Callable[[], float]) -> None:
        self._settings = settings
        self._resolver = resolver
        self._now = now
        self._believed: dict[str, tuple[bool, float]] = {}

    async def refusal(self, address: str) -> str:
        """Say why a client may bring no mail, '' if it may."""
        settings = self._settings
        if settings.reverse_name == "refuse" and await self._nameless(address):
            return f"{address} has no name in DNS"
        listed = await self._listed(question(address), settings.refuse)
        return f"{address} is listed by {listed[0]}" if listed else ""

    async def opinion(self, address: str, sender: str, raw: bytes) -> Opinion:
        """Give the opinion of a letter that the lists with scores have."""
        settings = self._settings
        score: float = 0.0
        symbols: list[str] = []
        if settings.score:
            for zone in await self._listed(question(address), tuple(settings.score)):
                score, symbols = score + settings.score[zone], [*symbols, _symbol("LISTED", zone)]
        for domain in _domains(sender, raw) if settings.domains else ():
            for zone in await self._listed(domain, tuple(settings.domains), "invalid"):
                score, symbols = score + settings.domains[zone], [*symbols, _symbol("DOMAIN_LISTED", zone)]
        if settings.reverse_name == "score" and await self._nameless(address):
            score, symbols = score + NO_NAME_SCORE, [*symbols, "NO_REVERSE_NAME"]
        return Opinion(score, tuple(dict.fromkeys(symbols)))

    async def _listed(self, name: str, zones: tuple[str, ...], never: str = "1.0.0.127") -> list[str]:
        """Give the zones that list a name, in their order; `never` is what a sane zone does not list."""
        if not name or not zones:
            return []
        tasks = {zone: asyncio.ensure_future(self._asks(name, zone, never)) for zone in zones}
        await asyncio.wait(tasks.values(), timeout=self._settings.seconds)
        for task in tasks.values():
            task.cancel()
        return [zone for zone, task in tasks.items() if task.done() and not task.cancelled() and task.result()]

    async def _asks(self, name: str, zone: str, never: str) -> bool:
        return await self._has(name, zone) and await self._is_sane(zone, never)

    async def _is_sane(self, zone: str, never: str) -> bool:
        sane, until = self._believed.get(zone, (False, 0.0))
        if self._now() >= until:
            sane = not await self._has(never, zone)
            self._believed[zone] = (sane, self._now() + _TRUST_SECONDS)
            if not sane:
                log.warning("blocklist_lists_everything", zone=zone)
        return sane

    async def _has(self, name: str, zone: str) -> bool:
        try:
            answers = await self._resolver.ipv4(f"{name}.{zone}")
        except (NoSuchName, NoAnswer):
            return False
        if any(ipaddress.ip_address(answer) in _REFUSAL for answer in answers):
            log.warning("blocklist_refuses_to_answer", zone=zone)
        return is_listing(answers)

    async def _nameless(self, address: str) -> bool:
        """Say whether an address has no name for sure."""
        try:
            pointer = ipaddress.ip_address(address.partition("%")[0]).reverse_pointer
            async with asyncio.timeout(self._settings.seconds):
                return not await self._resolver.names(pointer)
        except NoSuchName:
            return True
        except (NoAnswer, TimeoutError, ValueError):
            return False


def _domains(sender: str, raw: bytes) -> list[str]:
    """List the domains that a letter claims to come from."""
    claimed = [sender, *(one for value in headers.find_all(raw, "From")[:1] for one in headers.addresses(value))]
    found = [address.rpartition("@")[2].rstrip(".").lower() for address in claimed]
    return [domain for domain in dict.fromkeys(found) if "." in domain and len(domain) <= 200 and "[" not in domain][:MOST_DOMAINS]


def _symbol(kind: str, zone: str) -> str:
    return f"{kind}_{zone.upper().replace('.', '_').replace('-', '_')}"[:64]
