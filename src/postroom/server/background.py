"""The background work of the program: each job with its interval, and what the work is made of."""

import asyncio
from collections.abc import Callable, Iterator

from postroom.aws.clients import Aws
from postroom.directory import synchronization
from postroom.directory.domains import Targets
from postroom.directory.outside import Directories
from postroom.jobs import exports, flow, greylisting, impersonation, keys, lessons, retention, sending, sieve, sweep, tokens
from postroom.ldap.directory import Directory
from postroom.mailflow.filters import rspamd
from postroom.server import configured, reporting
from postroom.server.configuration import ConfigurationError, time_of_day
from postroom.server.dns import domain_work
from postroom.server.dns.lookups import Lookups
from postroom.server.schedule import DAY, Job
from postroom.server.settings import Settings
from postroom.storage.engine import Store


def jobs(settings: Settings, aws: Aws | None = None, directories: Directories | None = None) -> Iterator[Job]:
    """List the background work with its intervals, in seconds."""
    yield Job("sweep-contents", sweep.sweep_contents, 600.0, "deletes contents that nothing refers to")
    forget = flow.purge if settings.mail.message_flow else flow.forget_all
    yield Job("purge-message-flow", forget, 600.0, "lets go of letters whose day in the message flow is over", by_age=True)
    yield Job("sweep-files", sweep.sweep_files, 3600.0, "removes blob files that no content refers to")
    yield Job("purge-mailboxes", sweep.purge_mailboxes, 3600.0, "deletes mailboxes whose owners left thirty days ago", by_age=True)
    yield Job("purge-exports", exports.purge, 3600.0, "deletes what is left of old exports", by_age=True)
    yield Job("purge-impersonation-tokens", impersonation.purge_tokens, 900.0, "deletes impersonation tokens that have expired")
    yield Job("purge-access-tokens", tokens.purge, 900.0, "deletes personal access tokens that have expired")
    yield Job("forget-replies", sieve.forget_replies, 3600.0, "forgets who has had an automatic reply, when the next one may be sent")
    if settings.keys.kms:
        yield Job("ask-for-keys", keys.ask_again, 600.0, "asks for the keys of organizations again that AWS KMS holds")
    if settings.filters.greylisting.enabled:
        forget_networks = greylisting.purge(settings.filters.greylisting)
        yield Job("purge-greylist", forget_networks, 900.0, "forgets networks that were told to come again and did not", by_age=True)
    yield lessons_job(settings)
    forget_sent = sending.purge(settings.spikes)
    yield Job("purge-sending", forget_sent, 3600.0, "forgets how much users have sent, when it counts no more", by_age=True)
    yield Job("reports", reporting.work(settings), 900.0, "sends the reports of DMARC and TLS of days that are over", by_age=True)
    write = configured.work(settings.organizations)
    yield Job("configured-mail-flow", write, 60.0, "brings the mail rules of organizations in line with the configuration")
    night = time_of_day(settings.retention.at)
    yield Job("retention", retention.apply, DAY, "moves or removes mail as the retention policy says", night, by_age=True)
    yield Job("forget-changes", retention.forget, DAY, "forgets what went from mailboxes long ago", night, by_age=True)
    yield Job("mail-domains", domains_work(settings, aws), 60.0, "asks DNS about mail domains and makes their keys")
    if settings.directories:
        work = directories_work(settings, directories or {})
        yield Job("directories", work, 60.0, "reads the outside directories whose time has come")


def lessons_job(settings: Settings) -> Job:
    """Give the work of teaching rspamd, or of forgetting what nobody is to be taught."""
    part = settings.filters.rspamd
    if not (part.controller and part.password):
        return Job("forget-lessons", lessons.forget, 3600.0, "forgets what no filter is to be taught")
    client = rspamd.Client(part)
    teach = lessons.teach(lambda raw, spam: asyncio.run(client.learn(raw, spam=spam)))
    return Job("teach-filters", teach, 60.0, "teaches rspamd what users have moved into and out of Junk Email")


def directories(settings: Settings) -> Directories:
    """Give the outside directories by their ids; raises ConfigurationError when authorities cannot be read."""
    found = {}
    for name, part in settings.directories.items():
        try:
            found[part.id] = Directory(name, part)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"[directories.{name}] ca: {error}") from None
    return found


def directories_work(settings: Settings, directories: Directories) -> Callable[[Store, int], int]:
    """Give the work of synchronizing an organization when its time has come."""

    def work(store: Store, scope: int) -> int:
        return synchronization.due(store, scope, directories, settings.api.users)

    return work


def domains_work(settings: Settings, aws: Aws | None) -> Callable[[Store, int], int]:
    """Give the work that goes on behind mail domains."""
    lookups = Lookups(settings.dns.nameservers) if settings.domains.verify else None
    return domain_work.work(lookups=lookups, targets=targets(settings), aws=aws)


def targets(settings: Settings) -> Targets:
    """Give the names that DNS records of mail domains have to point at."""
    part = settings.domains
    return Targets(part.mail_host, part.autodiscover_host, part.spf_include, part.dkim_domain)


def aws(settings: Settings) -> Aws | None:
    """Give AWS, where the settings let it be asked."""
    return Aws(settings.aws, settings.api.region) if settings.aws.enabled else None


def once(work: Callable[[Store, int], int]) -> Callable[[Store, int], int]:
    """Make work that leaves no backlog behind."""

    def page(store: Store, scope: int) -> int:
        work(store, scope)
        return 0

    return page
