"""Writes what was counted of a domain's day as a report of TLS, and queues it (RFC 8460 §4, §5).

Outcomes stand in the registry and letters are queued in an organization, which no transaction spans. So the organization notes with the
letters that they are queued, and what was counted is forgotten afterwards: a report is queued once, whenever the server is killed.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from postroom.formats import report_letter, tls_report
from postroom.formats.report_letter import Subject, Submitter
from postroom.formats.tls_report import Day, Failure, Policy, PolicyText, Report, Summary
from postroom.mailbox import contents
from postroom.mailflow.reports import addressees, dmarc_reports
from postroom.mailflow.reports.dmarc_reports import Letter
from postroom.mailflow.reports.tls_tally import Kind
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import tls_counts

MOST_POLICIES = 1_000


def page(tx: Tx, *, before: int, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
    """List (day, domain) with outcomes of the days before one, behind a day and domain. Registry."""
    return tls_counts.page(tx, before=before, after=after, limit=limit)


def forget(tx: Tx, day: int, domain: str) -> None:
    """Forget the outcomes of a domain's day. Registry."""
    tls_counts.delete(tx, day, domain)


def forget_before(tx: Tx, day: int) -> int:
    """Forget the outcomes of the days before one, which nobody has told. Registry."""
    return tls_counts.delete_before(tx, day)


def subject(submitter: Submitter, domain: str, day: int) -> Subject:
    """Name the report of a domain's day, with the same id whenever it is written."""
    return Subject(domain, day, hashlib.sha256(f"{submitter.domain} tls {domain} {day}".encode()).hexdigest()[:20])


def write(about: Subject, submitter: Submitter, counted: Iterable[tuple[Kind, int]]) -> bytes:
    """Write a report as JSON."""
    by_policy: dict[tuple[str, str, tuple[str, ...]], list[tuple[Kind, int]]] = {}
    for kind, count in counted:
        # the domain of DANE's policy is that of the host with the TLSA records (RFC 8460 §1.1)
        domain = kind.mx if kind.policy == "tlsa" and kind.mx else about.domain
        by_policy.setdefault((kind.policy, domain, kind.text), []).append((kind, count))
    policies = tuple(_policy(*key, found) for key, found in list(by_policy.items())[:MOST_POLICIES])
    return tls_report.write(Report(submitter.name, Day(about.day).range, submitter.contact, about.id, policies))


def mailboxes(uris: Iterable[str]) -> list[str]:
    """List the addresses among the places where a domain wants its reports."""
    found = [addressees.mailbox(uri[7:]) for uri in uris if uri.lower().startswith("mailto:")]
    return list(dict.fromkeys(str(address) for address in found if address is not None))[: addressees.MAX_ADDRESSEES]


def prepare(store: Store, scope: int, about: Subject, recipients: Iterable[str], submitter: Submitter, json: bytes) -> list[Letter]:
    """Write the letters of a report."""
    letters = []
    for recipient in recipients:
        raw = report_letter.tls(submitter, recipient, about, json, store.now())
        letters.append(Letter(recipient, contents.prepare(store, scope, raw)))
    return letters


def send(tx: Tx, about: Subject, letters: Sequence[Letter]) -> int:
    """Queue the letters of a report and note that; counts them, none when they have been queued before.

    They go however connections are encrypted, and those are in no later report (RFC 8460 §3).
    """
    if not tls_counts.note_sent(tx, about.day, about.domain):
        return 0
    return sum(dmarc_reports.queue_letter(tx, letter, tls_optional=True) for letter in letters)


def is_sent(tx: Tx, about: Subject) -> bool:
    """Say whether a report has been sent."""
    return tls_counts.is_sent(tx, about.day, about.domain)


def forget_sent(tx: Tx, *, before: int) -> int:
    """Forget which reports of the days before one were sent."""
    return tls_counts.forget_sent(tx, before=before)


def _policy(kind: str, domain: str, text: tuple[str, ...], found: Sequence[tuple[Kind, int]]) -> Policy:
    failed = [(one, count) for one, count in found if one.result]
    well = sum(count for one, count in found if not one.result)
    patterns = tuple(_patterns(text)) if kind == "sts" else ()
    return Policy(
        PolicyText(kind, text, domain, patterns),
        Summary(well, sum(count for _, count in failed)),
        tuple(_failure(one, count) for one, count in failed[: tls_report.MAX_FAILURES]),
    )


def _failure(kind: Kind, count: int) -> Failure:
    return Failure(
        result_type=kind.result,
        sending_mta_ip=kind.sending,
        receiving_mx_hostname=kind.mx,
        receiving_ip=kind.receiving,
        failed_session_count=count,
        failure_reason_code=kind.reason,
    )


def _patterns(text: Iterable[str]) -> Iterator[str]:
    """Pick the hosts out of the lines of an MTA-STS policy (RFC 8461 §3.2)."""
    for line in text:
        name, _, value = line.partition(":")
        if name.strip().lower() == "mx":
            yield value.strip()
