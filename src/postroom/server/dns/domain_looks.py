"""Everything that DNS has to say of one mail domain and of the server behind it, looked at in one go."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postroom.directory.domains import Record, Targets
from postroom.model.entities import MailDomain
from postroom.server import endpoints
from postroom.server.certificates import Files
from postroom.server.dns import host_records, mail_records, service_records
from postroom.server.dns.expectations import Expectation, Look
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Situation:
    """What this server knows of itself and of a domain: `keys` are the records of its DKIM keys, `files` its certificate for SMTP."""

    domain: MailDomain
    keys: Sequence[Record]
    settings: Settings
    targets: Targets
    files: Files | None
    now: float


def look(situation: Situation, lookups: Lookups) -> Iterator[Look]:
    """Look at every record, those of the domain's owner first; raises NoAnswer where not even this server's name is answered for."""
    hostname = situation.settings.mail.hostname
    found = host_records.addresses(hostname, lookups)
    for expectation in (*_of_owner(situation, found, lookups), *_of_operator(situation, found, lookups)):
        yield expectation.try_look(lookups)
    if not situation.keys:
        name = situation.domain.domain
        remark = f"it has none yet: a running server makes them, and `postroom domains keys {name}`"
        yield Look("DKIM key", name, "TXT", False, True, (), "a key for each selector", (), remark)


def _of_owner(situation: Situation, found: Sequence[str], lookups: Lookups) -> Iterator[Expectation]:
    domain, targets, name = situation.domain, situation.targets, situation.domain.domain
    yield mail_records.ownership(domain, targets)
    yield mail_records.mx(domain, targets)
    yield _including(situation) if _is_met(_including(situation), lookups) else _letting(situation, found, lookups)
    yield from mail_records.dkim(domain, targets)
    yield from mail_records.dkim_beside(domain, targets)
    yield mail_records.author_policy(domain, targets, lookups)
    yield mail_records.autodiscover(domain, targets, lookups)
    yield from service_records.services(name, situation.settings, targets)
    yield service_records.sts(name, situation.settings, lookups)
    yield service_records.tls_reports(name)


def _of_operator(situation: Situation, found: Sequence[str], lookups: Lookups) -> Iterator[Expectation]:
    targets, hostname = situation.targets, situation.settings.mail.hostname
    listening = _listening(situation.settings)
    for name in dict.fromkeys((targets.mail_host, hostname)):
        yield host_records.host(name, lookups, listening)
    for address in found:
        yield host_records.pointer(address, hostname, lookups)
    if _is_met(_including(situation), lookups) or not _is_met(_letting(situation, found, lookups), lookups):
        yield host_records.sender_policy(targets, found or listening, lookups, situation.now)
    yield from host_records.keys(situation.keys)
    if situation.files is not None and lookups.believed:
        yield host_records.certificates(targets.mail_host, situation.files, lookups)


def _including(situation: Situation) -> Expectation:
    """Expect the domain's SPF record to include this server's."""
    return mail_records.sender_policy(situation.domain, situation.targets, mail_records.includes(situation.targets))


def _letting(situation: Situation, found: Sequence[str], lookups: Lookups) -> Expectation:
    """Expect it to let this server send, in whatever words."""
    judge = mail_records.lets_send(situation.domain.domain, found, lookups, situation.now)
    return mail_records.sender_policy(situation.domain, situation.targets, judge)


def _is_met(expectation: Expectation, lookups: Lookups) -> bool:
    try:
        return expectation.look(lookups).right
    except NoAnswer:
        return False


def _listening(settings: Settings) -> list[str]:
    """List the addresses that SMTP is told to listen on, where it is told any."""
    hosts = [endpoints.parse(text).host for text in settings.smtp.listen]
    return [host for host in dict.fromkeys(hosts) if host and _is_address(host)]


def _is_address(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
