"""Whether the name servers validate DNSSEC: without it mail goes without DANE, and nobody would notice.

They are asked for what is signed for certain. One that marks everything as proved cannot be told from one that validates.
"""

import asyncio
from collections.abc import Iterator

import structlog

from postroom.mailflow.resolver import NoAnswer, Resolver
from postroom.server.findings import Finding, Level
from postroom.server.settings import Settings

SECONDS = 10.0
ADVICE = "Mail goes without DANE: let Unbound with its trust anchor listen on the loopback and name it in [dns] nameservers."

log = structlog.get_logger("postroom.server")


async def tell(settings: Settings) -> None:
    """Warn in the log where the settings say that the name servers validate, and they do not, or nobody can say."""
    part = settings.dns
    if not part.validating:
        return
    try:
        if not await _validates(settings):
            log.warning("dnssec_not_validated", nameservers=part.nameservers, name=part.signed_name, advice=ADVICE)
    except NoAnswer as error:
        log.warning("dnssec_not_known", nameservers=part.nameservers, name=part.signed_name, reason=str(error))


def findings(settings: Settings) -> Iterator[Finding]:
    """Look whether name servers whose word is taken have one; where DNSSEC was not asked for, that they do not is no fault."""
    name = settings.dns.signed_name
    if not _resolver(settings).believed:
        return
    try:
        validates = asyncio.run(_validates(settings))
    except NoAnswer as error:
        yield Finding(Level.WARNING, "DNSSEC", str(error), "No name server answered; look at [dns] and the network.")
        return
    if validates:
        yield Finding(Level.GOOD, "DNSSEC", f"the name servers prove {name}, so DANE is used")
    elif settings.dns.validating:
        yield Finding(Level.WARNING, "DNSSEC", f"the name servers do not prove {name}", ADVICE)
    else:
        yield Finding(Level.GOOD, "DNSSEC", f"the name servers do not prove {name}, so DANE is not used")


async def _validates(settings: Settings) -> bool:
    return await _resolver(settings).proves(settings.dns.signed_name)


def _resolver(settings: Settings) -> Resolver:
    return Resolver(settings.dns.nameservers, lifetime=SECONDS, validating=settings.dns.validating)
