"""Finds a server for a next hop: its hosts in the order of RFC 5321 §5.1, their addresses, and the first that answers."""

import ipaddress
import re
from collections.abc import Sequence

from postroom.mailflow import routes, verdicts
from postroom.mailflow.outbound.link import Link
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.resolver import NoAnswer, NoSuchName, Resolver
from postroom.mailflow.verdicts import Fate, Verdict


async def to_smarthost(settings: Settings, resolver: Resolver) -> Link | Verdict:
    """Open a connection to the smarthost; a verdict when it does not answer, which is never final."""
    host, port = routes.host_and_port(settings.smarthost)
    opened = await _first(settings, resolver, [host], port, smarthost=True)
    return opened or verdicts.deferred("4.4.1", "No server for smarthost answers")


async def to_domain(settings: Settings, resolver: Resolver, domain: str) -> Link | Verdict:
    """Open a connection to the first host of a domain that answers; a verdict when none will do."""
    hosts = await _hosts(settings, resolver, domain)
    if isinstance(hosts, Verdict):
        return hosts
    opened = await _first(settings, resolver, hosts, settings.port, smarthost=False)
    return opened or verdicts.failed("5.4.4", f"The mail exchangers of {domain} have no addresses")


async def _first(settings: Settings, resolver: Resolver, hosts: Sequence[str], port: int, *, smarthost: bool) -> Link | Verdict | None:
    """Give a connection to the first host that answers, or the last verdict; None when no host has an address."""
    last: Verdict | None = None
    left = routes.LONGEST
    for host in hosts:
        try:
            addresses = [host] if _is_address(host) else await resolver.addresses(host)
        except NoSuchName:
            continue
        except NoAnswer as error:
            last = verdicts.deferred("4.4.3", str(error), host)
            continue
        for address in addresses[:left]:
            left -= 1
            opened = await Link.open(settings, host, address, port, smarthost=smarthost)
            if not isinstance(opened, Verdict) or opened.fate is Fate.FAILED:
                return opened
            last = opened
    return last


async def _hosts(settings: Settings, resolver: Resolver, domain: str) -> list[str] | Verdict:
    """List the hosts of a domain or of an address literal, best first, or say why there are none."""
    if domain.startswith("["):
        return [re.sub("^ipv6:", "", domain[1:-1], flags=re.IGNORECASE)]
    try:
        exchanges = await resolver.exchanges(domain)
        if not exchanges and not await resolver.addresses(domain):
            return verdicts.failed("5.1.2", f"{domain} takes no mail: it has neither MX nor address")
    except NoSuchName:
        return verdicts.failed("5.1.2", f"{domain} does not exist")
    except NoAnswer as error:
        return verdicts.deferred("4.4.3", str(error))
    return routes.choose(domain, exchanges, frozenset({settings.hostname.lower()}))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
