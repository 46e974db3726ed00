"""Sends the reports of days that are over: of DMARC for each organization, of TLS for the whole server from the one that has its address.

Each domain's report goes at a time of its own within four hours after midnight, UTC, so that neither this server's queue nor servers to
which many report have everything at once (RFC 8460 §4.1). What DNS cannot say, and what a web server does not take, is tried again for a
day. DNS and web servers are asked outside of transactions.
"""

import itertools
import random
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from postroom.directory import domains, organizations
from postroom.formats import report_letter, tls_report
from postroom.formats.report_letter import Subject, Submitter
from postroom.jobs import pacing
from postroom.mailflow.reports import addressees, dmarc_reports, tls_reports, tls_tally
from postroom.mailflow.reports.addressees import Texts
from postroom.mailflow.reports.dmarc_reports import Case
from postroom.mailflow.reports.settings import Settings
from postroom.mailflow.resolver import NoAnswer
from postroom.storage.engine import REGISTRY, Store

DAY = 86_400
FIRST_SECONDS, SPREAD_SECONDS = 600, 4 * 3600
"""When after the end of a day the first report goes, and within what time the others."""
PATIENCE_SECONDS = DAY
SHARE_SECONDS = 60.0
"""How long one organization's reports are written before it is another's turn."""
OLD_DAYS = 3
"""How many days after a day it is not told any more, as nobody got round to it."""
REMEMBERED_DAYS = 7
PAGE = 200
MOST = 20_000
"""Domains of which one run thinks."""

Post = Callable[[str, bytes], None]
"""Posts a packed report of TLS to an address; raises `NotPosted`."""
log = structlog.get_logger("postroom.jobs")
T = TypeVar("T")


class NotPosted(Exception):
    """A web server did not take a report; the text says why."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What has to be asked of others."""

    texts: Texts
    post: Post


def send(settings: Settings, outside: Outside) -> Callable[[Store, int], int]:
    """Give the work of an organization, which counts the letters it queues."""

    def work(store: Store, scope: int) -> int:
        with store.transaction(REGISTRY, write=False) as tx:
            organization = organizations.find_by_number(tx, scope)
            sender = domains.route(tx, settings.address.rpartition("@")[2]) if settings.address else None
        if organization is None:
            return 0
        own = settings.address if sender == scope else f"postmaster@{organization.default_domain}"
        submitter = Submitter(settings.organization, own, settings.contact or own)
        this = _Round(store, scope, submitter, outside)
        sent = this.dmarc(wanted=settings.dmarc)
        if sender == scope and settings.tls:
            sent += this.tls()
        elif sender is None or not settings.tls:
            this.forget_tls()
        return sent

    return work


def due_at(domain: str, day: int) -> float:
    """Say when the report about a domain's day goes, epoch seconds."""
    return (day + 1) * DAY + FIRST_SECONDS + zlib.crc32(domain.encode()) % SPREAD_SECONDS


@dataclass(frozen=True, slots=True)
class _Round:
    """One run in one organization."""

    store: Store
    scope: int
    submitter: Submitter
    outside: Outside

    def dmarc(self, *, wanted: bool) -> int:
        """Send what is due, or only forget it."""
        return sum(self._send_dmarc(case, wanted=wanted) for case in self._in_time(self._cases()))

    def tls(self) -> int:
        """Send what is due."""
        sent = sum(self._send_tls(domain, day) for day, domain in self._in_time(self._outcomes()))
        with pacing.transaction(self.store, self.scope) as tx:
            tls_reports.forget_sent(tx, before=self._today() - REMEMBERED_DAYS)
        return sent

    def forget_tls(self) -> None:
        """Forget outcomes that no organization reports, as none has the address."""
        with self.store.transaction(REGISTRY, write=False) as tx:
            old = tls_reports.page(tx, before=self._today() - OLD_DAYS, after=(0, ""), limit=1)
        if old:
            with pacing.transaction(self.store, REGISTRY) as tx:
                log.warning("tls_outcomes_forgotten", count=tls_reports.forget_before(tx, self._today() - OLD_DAYS))

    def _send_dmarc(self, case: Case, *, wanted: bool) -> int:
        uris = case.uris if wanted and not self._is_old(case.day) else ()
        try:
            chosen = addressees.choose(case.domain, uris, self.outside.texts)
        except NoAnswer as error:
            if not self._is_late(case.day):
                log.info("report_put_off", scope=self.scope, domain=case.domain, reason=str(error))
                return 0
            chosen = addressees.choose_known(case.domain, uris, self.outside.texts)
        letters = dmarc_reports.prepare(self.store, self.scope, case, chosen, self.submitter)
        with pacing.transaction(self.store, self.scope) as tx:
            sent = dmarc_reports.send(tx, case, letters)
        log.info("report_sent", kind="dmarc", scope=self.scope, domain=case.domain, day=case.day, letters=sent)
        return sent

    def _send_tls(self, domain: str, day: int) -> int:
        try:
            uris = () if self._is_old(day) else tls_report.record(self.outside.texts(f"_smtp._tls.{domain}"))
        except NoAnswer as error:
            if not self._is_late(day):
                log.info("report_put_off", domain=domain, reason=str(error))
                return 0
            uris = ()
        about = tls_reports.subject(self.submitter, domain, day)
        with self.store.transaction(self.scope, write=False) as tx:
            done = not uris or tls_reports.is_sent(tx, about)
        sent = 0 if done else self._tell_tls(about, uris)
        if sent is None:
            return 0
        with pacing.transaction(self.store, REGISTRY) as tx:
            tls_reports.forget(tx, day, domain)
        return sent

    def _tell_tls(self, about: Subject, uris: tuple[str, ...]) -> int | None:
        """Post a report and queue its letters, which it counts; None when nobody could be told, and it is to be tried again."""
        with self.store.transaction(REGISTRY, write=False) as tx:
            counted = tls_tally.read(tx, about.day, about.domain)
        json = tls_reports.write(about, self.submitter, counted)
        recipients = tls_reports.mailboxes(uris)
        posted = self._post(about.domain, uris, json)
        if not recipients and not posted and not self._is_late(about.day):
            return None
        letters = tls_reports.prepare(self.store, self.scope, about, recipients, self.submitter, json)
        with pacing.transaction(self.store, self.scope) as tx:
            sent = tls_reports.send(tx, about, letters)
        log.info("report_sent", kind="tls", scope=self.scope, domain=about.domain, day=about.day, letters=sent, posted=posted)
        return sent

    def _post(self, domain: str, uris: tuple[str, ...], json: bytes) -> int:
        """Post a report wherever it is wanted so; counts those who took it."""
        posted = 0
        for uri in [uri for uri in uris if uri.lower().startswith("https:")][: addressees.MAX_ADDRESSEES]:
            try:
                self.outside.post(uri, report_letter.packed(json))
                posted += 1
            except NotPosted as error:
                log.info("report_not_posted", domain=domain, to=uri, reason=str(error))
        return posted

    def _cases(self) -> Iterator[Case]:
        after = (0, "")
        while True:
            with self.store.transaction(self.scope, write=False) as tx:
                found = dmarc_reports.page(tx, before=self._today(), after=after, limit=PAGE)
            for case in found:
                after = (case.day, case.domain)
                if due_at(case.domain, case.day) <= self.store.now():
                    yield case
            if len(found) < PAGE:
                return

    def _outcomes(self) -> Iterator[tuple[int, str]]:
        after = (0, "")
        while True:
            with self.store.transaction(REGISTRY, write=False) as tx:
                found = tls_reports.page(tx, before=self._today(), after=after, limit=PAGE)
            for after in found:
                if due_at(after[1], after[0]) <= self.store.now():
                    yield after
            if len(found) < PAGE:
                return

    def _in_time(self, things: Iterator[T]) -> Iterator[T]:
        """Give things in any order while there is time, so that those of whom DNS says nothing do not keep always the same waiting."""
        end = time.monotonic() + SHARE_SECONDS
        found = list(itertools.islice(things, MOST))
        random.shuffle(found)
        for thing in found:
            yield thing
            if time.monotonic() > end:
                return

    def _today(self) -> int:
        return int(self.store.now() // DAY)

    def _is_late(self, day: int) -> bool:
        """Say whether a day has been over for so long that its report is not put off any more."""
        return self.store.now() > (day + 1) * DAY + PATIENCE_SECONDS

    def _is_old(self, day: int) -> bool:
        return day < self._today() - OLD_DAYS
