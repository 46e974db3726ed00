"""Finds a server for a next hop: its hosts in the order of RFC 5321 §5.1, their addresses, and the first that answers.

What is demanded of the encryption to a host is found out before it is called (`demands`), and what came of it is told.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from postroom.mailflow import routes, verdicts
from postroom.mailflow.outbound import demand
from postroom.mailflow.outbound.calling import Place
from postroom.mailflow.outbound.demand import Demand
from postroom.mailflow.outbound.demands import Demands, Domain, Refused
from postroom.mailflow.outbound.hops import Hop
from postroom.mailflow.outbound.link import Link
from postroom.mailflow.outbound.relay import Relay, RelayLink
from postroom.mailflow.outbound.settings import SES, Settings
from postroom.mailflow.outbound.tls_outcome import Result, Sink, TlsOutcome, ignore
from postroom.mailflow.resolver import Answer, NoAnswer, NoSuchName, Resolver
from postroom.mailflow.verdicts import Fate, Verdict

Demanded = Callable[[str, Answer[str]], Awaitable[Demand | Refused]]


@dataclass(frozen=True, slots=True)
class _Hosts:
    """The hosts of a domain, best first, and whether DNSSEC proves that they are its."""

    names: Sequence[str]
    proved: bool = False


class Dialler:
    """Opens connections to other servers as is demanded, and tells `outcomes` how the encryption of each came out.

    A gateway is the smarthost of settings of its own.
    """

    def __init__(
        self,
        settings: Settings,
        resolver: Resolver,
        *,
        now: Callable[[], float],
        demands: Demands | None = None,
        outcomes: Sink = ignore,
        gateways: Mapping[str, Settings] | None = None,
        relay: Relay | None = None,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._demands = demands or Demands(resolver)
        self._now = now
        self._outcomes = outcomes
        self._gateways = gateways or {}
        self._relay = relay

    async def to(self, hop: Hop) -> Link | RelayLink | Verdict:
        """Open a connection to a next hop that is another server; a verdict when none will do."""
        if hop.gateway:
            return await self.to_gateway(hop.gateway)
        return await (self.to_domain(hop.domain, anyhow=hop.anyhow) if hop.domain else self.to_smarthost())

    async def to_smarthost(self) -> Link | RelayLink | Verdict:
        """Open a connection to the smarthost; a verdict when it does not answer, which is never final."""
        if self._settings.smarthost == SES:
            if self._relay is None:
                return verdicts.deferred("4.3.5", "Amazon SES is the smarthost, and [aws] is not enabled")
            return RelayLink(self._relay)
        return await self._to_relay(self._settings, "smarthost")

    async def to_gateway(self, name: str) -> Link | Verdict:
        """Open a connection to a gateway; a verdict when it does not answer, or is not known at present, which is never final."""
        settings = self._gateways.get(name)
        if settings is None:
            return verdicts.deferred("4.3.5", f"The gateway {name} is not configured")
        return await self._to_relay(settings, f"the gateway {name}")

    async def _to_relay(self, settings: Settings, name: str) -> Link | Verdict:
        """Open a connection to a server of the operator's choice, whose name is its domain (RFC 7672 §2.2.1, RFC 8461 §3.4)."""
        host, port = routes.host_and_port(settings.smarthost)

        async def demanded(host: str, addresses: Answer[str]) -> Demand | Refused:
            if settings.smarthost_tls == "opportunistic" and not _is_address(host):
                return await self._demands.of(Domain(host.rstrip(".").lower(), port, proved=True), host, addresses)
            return demand.of_smarthost(settings)

        opened = await self._first([host], port, demanded, relay=settings)
        return opened or verdicts.deferred("4.4.1", f"No server for {name} answers")

    async def to_domain(self, domain: str, *, anyhow: bool = False) -> Link | Verdict:
        """Open a connection to the first host of a domain that answers; a verdict when none will do.

        `anyhow` nothing is demanded but by the operator, and nothing told.
        """
        hosts = await self._hosts(domain)
        if isinstance(hosts, Verdict):
            return hosts
        demanded = partial(self._demands.waived if anyhow else self._demands.of, Domain(domain, self._settings.port, hosts.proved))
        opened = await self._first(hosts.names, self._settings.port, demanded, told=not anyhow)
        return opened or verdicts.failed("5.4.4", f"The mail exchangers of {domain} have no addresses")

    async def _first(
        self, hosts: Sequence[str], port: int, demanded: Demanded, *, told: bool = False, relay: Settings | None = None
    ) -> Link | Verdict | None:
        """Give a connection to the first host that answers, or the last verdict; None when no host has an address.

        `told` says that it counts for reports how it came out, `relay` how to sign in with a server of the operator's.
        """
        last: Verdict | None = None
        left = routes.LONGEST
        for host in hosts:
            try:
                addresses = await self._addresses(host)
            except NoSuchName:
                continue
            except NoAnswer as error:
                last = verdicts.deferred("4.4.3", str(error), host)
                continue
            wanted = await demanded(host, addresses) if addresses.records else None
            if isinstance(wanted, Refused):
                if told:
                    self._note(wanted.demand, host, wanted.result, wanted.verdict.text)
                last = wanted.verdict
                continue
            for address in addresses.records[:left]:
                left -= 1
                assert wanted is not None
                opened = await self._open(Place(host, address, port), wanted, told=told, relay=relay)
                if not isinstance(opened, Verdict) or opened.fate is Fate.FAILED:
                    return opened
                last = opened
        return last

    async def _open(self, place: Place, wanted: Demand, *, told: bool, relay: Settings | None) -> Link | Verdict:
        def note(result: Result, details: str, ours: str) -> None:
            if told:
                self._note(wanted, place.host, result, details, address=place.address, ours=ours)

        return await Link.open(relay or self._settings, place, wanted, note, smarthost=relay is not None)

    def _note(self, wanted: Demand, host: str, result: Result, details: str, *, address: str = "", ours: str = "") -> None:
        self._outcomes(TlsOutcome(wanted.policy, wanted.domain, wanted.text, host, address, ours, result, details, self._now()))

    async def _hosts(self, domain: str) -> _Hosts | Verdict:
        """List the hosts of a domain or of an address literal, best first, or say why there are none."""
        if domain.startswith("["):
            return _Hosts([re.sub("^ipv6:", "", domain[1:-1], flags=re.IGNORECASE)])
        try:
            exchanges = await self._resolver.proved_exchanges(domain)
            if not exchanges.records and not await self._resolver.addresses(domain):
                return verdicts.failed("5.1.2", f"{domain} takes no mail: it has neither MX nor address")
        except NoSuchName:
            return verdicts.failed("5.1.2", f"{domain} does not exist")
        except NoAnswer as error:
            return verdicts.deferred("4.4.3", str(error))
        chosen = routes.choose(domain, exchanges.records, frozenset({self._settings.hostname.lower()}))
        return chosen if isinstance(chosen, Verdict) else _Hosts(chosen, exchanges.authenticated)

    async def _addresses(self, host: str) -> Answer[str]:
        return Answer((host,), False, host) if _is_address(host) else await self._resolver.proved_addresses(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
