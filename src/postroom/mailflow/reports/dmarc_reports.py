"""Writes what was counted of a domain's day as a report of DMARC, and queues it in the transaction that forgets the counts.

So a report goes once, whenever the server is killed (RFC 7489 §7.2).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from postroom.formats import dkim, dmarc_report, report_letter
from postroom.formats.dmarc_report import Policy, Report, Row
from postroom.formats.report_letter import Subject, Submitter
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import queue
from postroom.mailflow.assessment import OURS
from postroom.mailflow.authentication import dmarc
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.reports import dmarc_counts
from postroom.mailflow.reports.addressees import Addressee
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import dmarc_counts as queries

DAY = 86_400
log = structlog.get_logger("postroom.mailflow")


@dataclass(frozen=True, slots=True)
class Case:
    """A domain's day: the record as it was published, and the addresses in it."""

    day: int
    domain: str
    record: str
    uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """A report on its way to one addressee."""

    recipient: str
    prepared: Prepared


def page(tx: Tx, *, before: int, after: tuple[int, str], limit: int) -> list[Case]:
    """List the cases of the days before one, behind a day and domain."""
    found = queries.page(tx, before=before, after=after, limit=limit)
    return [Case(day, domain, record, tuple(addresses.split("\n"))) for day, domain, record, addresses in found]


def subject(scope: int, submitter: Submitter, domain: str, day: int) -> Subject:
    """Name the report of a domain's day, with the same id whenever it is written."""
    return Subject(domain, day, hashlib.sha256(f"{submitter.domain} {scope} {domain} {day}".encode()).hexdigest()[:20])


def write(about: Subject, submitter: Submitter, record: str, rows: Sequence[Row]) -> bytes:
    """Write a report as XML."""
    policy = published(about.domain, record)
    return dmarc_report.write(Report(submitter.name, submitter.contact, about.id, about.begin, about.end, policy, tuple(rows)))


def published(domain: str, record: str) -> Policy:
    """Say what a record asks for, in the words of a report."""
    found = dmarc.parse(domain, [record])
    if found is None:
        return Policy(domain)
    try:
        options = dkim.tags(record.encode()).get("fo", "0")
    except ValueError:
        options = "0"
    modes = {True: "s", False: "r"}
    return Policy(
        domain, modes[found.strict_dkim], modes[found.strict_spf], found.policy.value, found.subdomains.value, str(found.percent), options
    )


def prepare(store: Store, scope: int, case: Case, addressees: Iterable[Addressee], submitter: Submitter) -> list[Letter]:
    """Write the letters of a case; one that is larger than its addressee takes is left out."""
    with store.transaction(scope, write=False) as tx:
        rows = dmarc_counts.rows(tx, case.day, case.domain)
    about = subject(scope, submitter, case.domain, case.day)
    xml = write(about, submitter, case.record, rows) if rows else b""
    letters = []
    for one in addressees if rows else ():
        raw = report_letter.dmarc(submitter, one.address, about, xml, store.now())
        if one.most and len(raw) > one.most:
            log.info("report_too_large", scope=scope, domain=case.domain, to=one.address, size=len(raw), most=one.most)
        else:
            letters.append(Letter(one.address, contents.prepare(store, scope, raw)))
    return letters


def send(tx: Tx, case: Case, letters: Iterable[Letter]) -> int:
    """Queue the letters of a case and forget what was counted; counts the letters, none when somebody else has sent them."""
    if not queries.delete(tx, case.day, case.domain):
        return 0
    return sum(queue_letter(tx, letter) for letter in letters)


def queue_letter(tx: Tx, letter: Letter, *, tls_optional: bool = False) -> int:
    """Queue a report for a day at the most; nobody hears of it when it fails. `tls_optional` is as in `Envelope`."""
    envelope = Envelope("", (letter.recipient,), international=not letter.recipient.isascii(), tls_optional=tls_optional)
    content = contents.keep(tx, letter.prepared)
    queue.enqueue(tx, envelope, content, size=letter.prepared.size, assessment=OURS, lifetime=queue.SHORT_LIFETIME)
    return 1
