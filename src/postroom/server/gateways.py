"""Gateways of flow rules as the configuration has them, and whether they take mail at this moment."""

import asyncio
import ssl
import time
from collections.abc import Iterator, Mapping

from postroom.mailflow.outbound.dialling import Dialler
from postroom.mailflow.outbound.gateways import as_smarthost
from postroom.mailflow.outbound.settings import Settings as OutboundSettings
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.verdicts import Verdict
from postroom.server.configuration import ConfigurationError
from postroom.server.settings import Settings

SECONDS = 30.0
"""How long a gateway may take to let us in when it is tried."""


def configured(settings: Settings) -> dict[str, OutboundSettings]:
    """Give each as the smarthost of settings of its own; raises ConfigurationError for files that cannot be read."""
    found = {}
    for name, part in settings.gateways.items():
        try:
            found[name] = as_smarthost(part, settings.mail)
            ssl.create_default_context(cafile=part.ca or None)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"[gateways.{name}] {error}") from None
    return found


def tried(settings: Settings) -> Iterator[tuple[str, str]]:
    """Connect and sign in to each; gives its name and what is the matter, '' when it lets us in."""
    found = configured(settings)
    for name in found:
        yield name, asyncio.run(_try(settings, found, name))


async def _try(settings: Settings, found: Mapping[str, OutboundSettings], name: str) -> str:
    dialler = Dialler(settings.mail, Resolver(settings.dns.nameservers, lifetime=5.0), now=time.time, gateways=found)
    try:
        async with asyncio.timeout(SECONDS):
            link = await dialler.to_gateway(name)
    except TimeoutError:
        return f"it takes more than {SECONDS:g} seconds"
    if isinstance(link, Verdict):
        return link.text
    await link.quit()
    return ""
