"""How the rooms are joined: settings in, doors and background work out. Nothing runs before `start`."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from postroom.api import operation
from postroom.api.gateway import Gateway
from postroom.api.operation import Facilities, MailDomainPolicy
from postroom.api.settings import Settings as ApiSettings
from postroom.aws.clients import Aws
from postroom.aws.log_delivery import LogDelivery
from postroom.aws.objects import ObjectUpload
from postroom.aws.ses import Ses
from postroom.directory import domains, organizations, outside
from postroom.directory.outside import Directories
from postroom.jobs import words
from postroom.jobs.export_folders import FolderUpload
from postroom.jobs.exports import Places
from postroom.mailbox import contents
from postroom.mailflow.filters.filters import Filters
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.demands import Demands
from postroom.mailflow.outbound.sts import Policies
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.screening import Screening
from postroom.model.exports import Export, Refused, Upload
from postroom.model.web import Route
from postroom.policy.authenticator import Authenticator
from postroom.policy.crowd import Crowd
from postroom.protocols.imap.server import ImapServer
from postroom.protocols.managesieve.server import ManageSieveServer
from postroom.protocols.smtp.server import SmtpServer
from postroom.server import background, doors, endpoints, gateways
from postroom.server.acme import challenges
from postroom.server.acme.folder import Folder
from postroom.server.availability import Probe
from postroom.server.backlog import Backlog
from postroom.server.configuration import ConfigurationError
from postroom.server.dns.lookups import Lookups
from postroom.server.exporting import Exporter
from postroom.server.hooks.calls import Calls
from postroom.server.hooks.worker import Hooking
from postroom.server.http import HttpServer
from postroom.server.journals import journal
from postroom.server.journals.audit_log import AuditLog
from postroom.server.journals.event_log import EventLog
from postroom.server.letter_source import LetterSource
from postroom.server.listeners import Door, Server
from postroom.server.presented import Presented
from postroom.server.relay import SesRelay
from postroom.server.reporting import Ledger
from postroom.server.schedule import Schedule
from postroom.server.settings import Settings
from postroom.server.web import leaving, sts
from postroom.server.web.site import Site
from postroom.storage.engine import REGISTRY, Store

if TYPE_CHECKING:
    from postroom.server.acme.renewal import Renewal

HEALTH_SECONDS = 5.0
JOURNAL_SECONDS = 0.5
"""How long journals may take to be written at the end."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """Everything that runs, ready to start."""

    doors: Sequence[Door]
    servers: Sequence[Server]
    schedule: Schedule
    index: Backlog
    domains: Backlog
    directories: Backlog
    carrier: Carrier
    policies: Policies
    hooks: Hooking
    exporter: Exporter
    authenticator: Authenticator
    gateway: Gateway
    events: EventLog
    audit: AuditLog
    ledger: Ledger

    def start(self) -> "asyncio.Task[None]":
        """Start the background work; gives the carrier's task, which ends when the rooms are closed."""
        self.events.start()
        self.audit.start()
        self.schedule.start()
        self.index.start()
        self.domains.start()
        self.directories.start()
        self.hooks.start()
        self.exporter.start()
        self.policies.start()
        self.ledger.start()
        return asyncio.create_task(self.carrier.run(), name="carrier")

    async def close(self, grace: float) -> None:
        """End all rooms at once, each within `grace` seconds."""
        background = (self.schedule.close(), self.index.close(), self.domains.close(), self.directories.close(), self.carrier.close(grace))
        await asyncio.gather(*(server.close(grace) for server in self.servers), *background, self._close_callers(grace))
        await asyncio.gather(self.gateway.close(), self.authenticator.close(), self.policies.close(), self.ledger.close())
        await asyncio.gather(*(asyncio.to_thread(journal.close, JOURNAL_SECONDS) for journal in (self.events, self.audit)))

    async def _close_callers(self, grace: float) -> None:
        """End what waits for networks on threads of its own."""
        await asyncio.gather(self.exporter.close(grace), self.hooks.close(grace))


def wire(settings: Settings, store: Store, tls: ssl.SSLContext, web_tls: ssl.SSLContext | None = None) -> Rooms:
    """Join the rooms as the settings say; `tls` serves every protocol, but for the web door where that has a context of its own."""
    outside_ones = background.directories(settings)
    authenticator = Authenticator(store, settings=settings.policy, directories=outside_ones)
    lent = background.aws(settings)
    audit = audit_log(settings, store)
    gateway = Gateway(store, api_settings(settings, lent, probe(settings, lent), audit, outside_ones))
    servers = _servers(settings, store, tls, authenticator, gateway)
    resolver = Resolver(settings.dns.nameservers, validating=settings.dns.validating)
    policies = Policies(store, resolver, settings.mta_sts)
    ledger = Ledger(store, wanted=settings.reports.tls and bool(settings.reports.address))
    return Rooms(
        list(_doors(settings, servers, tls, web_tls or tls)),
        list(servers.values()),
        Schedule(store, list(background.jobs(settings, lent, outside_ones))),
        Backlog(store, contents.TOPIC, words.index),
        Backlog(store, domains.TOPIC, background.domains_work(settings, lent)),
        Backlog(store, outside.TOPIC, background.once(background.directories_work(settings, outside_ones))),
        Carrier(
            store,
            resolver,
            settings.mail,
            demands=demands(settings, resolver, policies),
            outcomes=ledger.sink,
            terms=terms(settings),
            gateways=gateways.configured(settings),
            relay=SesRelay(Ses(lent, settings.mail.ses_configuration_set)) if lent else None,
        ),
        policies,
        Hooking(store, calls(settings, store, lent), terms(settings)),
        Exporter(store, places(settings, lent)),
        authenticator,
        gateway,
        event_log(settings, store, lent),
        audit,
        ledger,
    )


def _servers(settings: Settings, store: Store, tls: ssl.SSLContext, authenticator: Authenticator, gateway: Gateway) -> dict[str, Server]:
    healthy = _health(store)
    return {
        "api": HttpServer(doors.api(gateway, healthy), seconds=settings.api.request_seconds, connections=settings.api.connections),
        "web": web(settings, routes(settings, store)),
        "smtp": SmtpServer(
            "mx",
            store=store,
            authenticator=authenticator,
            settings=settings.smtp,
            tls=tls,
            terms=terms(settings),
            screening=screening(settings),
        ),
        "submission": SmtpServer(
            "submission",
            store=store,
            authenticator=authenticator,
            settings=settings.submission,
            tls=tls,
            terms=terms(settings),
        ),
        "imap": ImapServer(store=store, authenticator=authenticator, settings=settings.imap, tls=tls),
        "managesieve": ManageSieveServer(store=store, authenticator=authenticator, settings=settings.managesieve, tls=tls),
        "metrics": HttpServer(doors.observation(healthy), connections=100),
    }


def terms(settings: Settings) -> Terms:
    """Give the terms on which users send, and their scripts."""
    return Terms(settings.allowance, settings.spikes, settings.smtp.postmaster, settings.groups.leave_at.rstrip("/"))


def calls(settings: Settings, store: Store, aws: Aws | None) -> Calls:
    """Give what calls the hooks of flow rules; raises ConfigurationError when a secret or an authority cannot be read."""
    try:
        return Calls(settings.hooks, aws, store.now)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"[hooks] {error}") from None


def demands(settings: Settings, resolver: Resolver, policies: Policies) -> Demands:
    """Give what decides on the encryption to others."""
    return Demands(resolver, policies if settings.mta_sts.enabled else None, settings.tls_policies, settings.mta_sts.ca)


def screening(settings: Settings) -> Screening:
    """Give the checks of strangers' letters that ask others."""
    resolver = Resolver(settings.dns.nameservers, lifetime=settings.authentication.seconds, validating=settings.dns.validating)
    return Screening(
        filters(settings),
        resolver=resolver,
        settings=settings.authentication,
        hostname=settings.smtp.hostname,
        reports=settings.reports.dmarc,
    )


def filters(settings: Settings) -> Filters:
    """Give what is asked whether letters are wanted."""
    return Filters(settings.filters, Resolver(settings.dns.nameservers, lifetime=4.0), trusted=settings.smtp.trusted_networks)


def routes(settings: Settings, store: Store) -> Iterator[Route]:
    """List what the public web door answers; `postroom.server.web` says how one adds to it."""
    yield sts.route(settings, store)
    if settings.groups.leave_at:
        yield from leaving.routes(store)
    if settings.tls.acme.enabled:
        yield from challenges.routes(Folder(Path(settings.data)))


def renewal(settings: Settings, store: Store, shown: Presented) -> "Renewal | None":
    """Give what orders certificates, where the settings want it."""
    if not settings.tls.acme.enabled:
        return None
    from postroom.server.acme.orders import Orders
    from postroom.server.acme.renewal import Renewal

    return Renewal(Orders(settings, store), shown.look)


def web(settings: Settings, routes: Iterator[Route]) -> HttpServer:
    """Give the public web door."""
    part = settings.web
    secure_port = endpoints.parse(part.listen_tls[0]).port if part.listen_tls else None
    crowd = Crowd(most=2 * part.connections, most_of_place=part.connections_per_address, trusted=part.trusted_networks)
    return HttpServer(Site(routes, secure_port=secure_port), seconds=part.request_seconds, connections=part.connections, crowd=crowd)


TLS_NAMES = {"api": "api_tls", "web": "web_tls", "submission": "submissions", "imap": "imaps", "managesieve": "managesieves"}
"""What a door is called when TLS starts with the first byte."""


def _doors(settings: Settings, servers: dict[str, Server], tls: ssl.SSLContext, web_tls: ssl.SSLContext) -> Iterator[Door]:
    for name, server in servers.items():
        table = getattr(settings, name)
        for text in table.listen:
            yield Door(name, server, endpoints.parse(text))
        for text in getattr(table, "listen_tls", ()):
            yield Door(TLS_NAMES[name], server, endpoints.parse(text), web_tls if name == "web" else tls)


def places(settings: Settings, aws: Aws | None) -> Places:
    """Find the place of an export: a folder of this machine, or S3."""
    part = settings.exports

    def place(export: Export) -> Upload:
        folder = part.buckets.get(export.bucket)
        if folder is not None:
            return FolderUpload(Path(folder), export.path)
        if aws is None:
            raise Refused(f"The bucket {export.bucket} is not known to this server, which has no access to Amazon S3.")
        return ObjectUpload(aws, export, assume_role=part.assume_role, encrypt=part.encrypt)

    return place


def probe(settings: Settings, aws: Aws | None) -> Probe:
    """Give what tries availability providers; raises ConfigurationError when the authorities cannot be read."""
    try:
        return Probe(Lookups(settings.dns.nameservers), settings.availability, aws)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"[availability] ca: {error}") from None


def event_log(settings: Settings, store: Store, aws: Aws | None) -> EventLog:
    """Give the record of what becomes of letters."""
    delivery = LogDelivery(aws, settings.events.buffer) if aws else None
    return EventLog(store, journal.folder(settings.data), settings.events, delivery)


def audit_log(settings: Settings, store: Store) -> AuditLog:
    """Give the record of API calls."""
    return AuditLog(store, journal.folder(settings.data), settings.audit, region=settings.api.region, account=settings.api.account)


def api_settings(
    settings: Settings,
    aws: Aws | None = None,
    probe: operation.Probe = operation.nobody_asks,
    audit: AuditLog | None = None,
    directories: Directories | None = None,
) -> ApiSettings:
    """Give the gateway's settings."""
    policy = MailDomainPolicy(background.targets(settings), trust=not settings.domains.verify, test_suffix=settings.domains.base)
    letters = LetterSource(settings.exports.buckets, aws, settings.smtp.maximum_message)
    return ApiSettings(
        region=settings.api.region,
        account=settings.api.account,
        body_bytes=settings.api.body_bytes,
        buffered_bytes=settings.api.buffered_bytes,
        facilities=Facilities(
            mail_domains=policy,
            most_users=settings.api.users,
            aws=aws,
            probe=probe,
            buckets=frozenset(settings.exports.buckets),
            message_flow=settings.mail.message_flow,
            letters=letters,
            directories=directories or {},
        ),
        audit=audit,
    )


def _health(store: Store) -> doors.Health:
    """Give the question whether the store answers in time."""

    async def healthy() -> bool:
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await store.read(REGISTRY, organizations.find_by_number, REGISTRY)
        except Exception:
            return False
        return True

    return healthy
