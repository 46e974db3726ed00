"""What our own mail domains ask of senders by MTA-STS: the policy that the web door serves for them, and the record that announces it.

All domains have the same policy, since the same servers take their mail. Whoever owns a domain decides whether it counts, by the TXT record
and by leading `mta-sts.DOMAIN` here (RFC 8461 §3).
"""

from collections.abc import Iterator

from postroom.directory import domains
from postroom.directory.domains import Record
from postroom.formats import sts_policy
from postroom.formats.sts_policy import StsPolicy
from postroom.model.web import Answer, Request, Route
from postroom.server.findings import Finding, Level
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store

PATH = "/.well-known/mta-sts.txt"
LABEL = "mta-sts."


def policy(settings: Settings) -> StsPolicy:
    """Give the policy of our domains."""
    part = settings.mta_sts
    return StsPolicy(part.mode, tuple(host.lower() for host in part.hosts or (settings.domains.mail_host,)), part.max_age)


def records(domain: str, settings: Settings) -> list[Record]:
    """List what the owner of a domain publishes for its policy to count."""
    announcement = Record("TXT", f"_mta-sts.{domain}", policy(settings).record)
    return [announcement, Record("CNAME", f"{LABEL}{domain}", settings.mail.hostname)]


def route(settings: Settings, store: Store) -> Route:
    """Give the route that serves the policy for every domain that takes mail here, and for no other."""
    raw = sts_policy.write(policy(settings))

    async def answer(request: Request) -> Answer:
        scope = await store.look(REGISTRY, domains.route, request.host.removeprefix(LABEL))
        return Answer(404, b"not here\n") if scope is None else Answer(200, raw)

    return Route(host=f"{LABEL}*", path=PATH, handler=answer)


def findings(settings: Settings) -> Iterator[Finding]:
    """Look whether others can read the policy, and can do what it says."""
    mode = settings.mta_sts.mode
    if mode == "none":
        return
    if not settings.web.listen_tls:
        advice = "Let [web] listen_tls take *:443, or serve the policy elsewhere: /.well-known/mta-sts.txt of mta-sts.DOMAIN."
        yield Finding(Level.WARNING, "MTA-STS", "the web door that serves the policy is closed", advice)
    if not (settings.tls.certificate or settings.tls.folder or settings.tls.domains or settings.tls.acme.enabled):
        level = Level.BAD if mode == "enforce" else Level.WARNING
        yield Finding(level, "MTA-STS", f"under mode {mode} nobody trusts the local authority", "Set [tls] certificate, or [tls.acme].")
    elif settings.web.listen_tls:
        yield Finding(Level.GOOD, "MTA-STS", f"mode {mode} for our domains; `postroom check domain` looks at their records")
