"""What others have reported, added up and shown in lines."""

from collections import Counter
from collections.abc import Iterable, Iterator

from postroom.formats import dmarc_report, tls_report
from postroom.formats.received_reports import Report

MOST_LINES = 100_000
"""Lines that are told apart; of more nothing is added."""
_WIDTH = 60


class Tables:
    """Adds reports up; one that has come twice counts once."""

    def __init__(self) -> None:
        self.reports = 0
        self._seen: set[tuple[str, str, str]] = set()
        self._dmarc: Counter[tuple[str, str, str, str, str]] = Counter()
        self._went_well: Counter[tuple[str, str]] = Counter()
        self._failed: Counter[tuple[str, str]] = Counter()
        self._failures: dict[tuple[str, str], Counter[str]] = {}

    def add(self, report: Report) -> None:
        """Add one."""
        mark = _mark(report)
        if mark in self._seen or len(self._seen) >= MOST_LINES:
            return
        self._seen.add(mark)
        self.reports += 1
        if isinstance(report, dmarc_report.Report):
            self._add_dmarc(report)
        else:
            self._add_tls(report)

    def lines(self) -> Iterator[str]:
        """Write the tables that have anything in them."""
        if self._dmarc:
            yield _row("DOMAIN", "SOURCE", "COUNT", "DKIM", "SPF", "DISPOSITION", widths=(28, 39, 8, 5, 5, 0))
            for (domain, *rest), count in sorted(self._dmarc.items(), key=lambda item: (item[0][0], -item[1], item[0])):
                source, dkim, spf, disposition = rest
                yield _row(domain, source, str(count), dkim, spf, disposition, widths=(28, 39, 8, 5, 5, 0))
        if self._dmarc and self._went_well:
            yield ""
        if self._went_well:
            yield _row("DOMAIN", "POLICY", "WENT WELL", "FAILED", "HOW", widths=(28, 16, 10, 8, 0))
            for key in sorted(self._went_well):
                kinds = ", ".join(f"{count} {kind}" for kind, count in self._failures.get(key, Counter()).most_common(20))
                yield _row(*key, str(self._went_well[key]), str(self._failed[key]), kinds, widths=(28, 16, 10, 8, 0))

    def _add_dmarc(self, report: dmarc_report.Report) -> None:
        for row in report.rows:
            key = (report.policy.domain, row.source, row.dkim, row.spf, row.disposition)
            if key in self._dmarc or len(self._dmarc) < MOST_LINES:
                self._dmarc[key] += row.count

    def _add_tls(self, report: tls_report.Report) -> None:
        for one in report.policies:
            key = (one.policy.policy_domain, one.policy.policy_type)
            if key not in self._went_well and len(self._went_well) >= MOST_LINES:
                continue
            self._went_well[key] += max(one.summary.total_successful_session_count, 0)
            self._failed[key] += max(one.summary.total_failure_session_count, 0)
            _count_failures(self._failures.setdefault(key, Counter()), one.failure_details)


def _count_failures(counts: Counter[str], failures: Iterable[tls_report.Failure]) -> None:
    for failure in failures:
        kind = f"{failure.result_type} {failure.receiving_mx_hostname}".strip()[:_WIDTH]
        if kind in counts or len(counts) < 1000:
            counts[kind] += max(failure.failed_session_count, 0)


def _mark(report: Report) -> tuple[str, str, str]:
    if isinstance(report, dmarc_report.Report):
        return (report.organization, report.id, report.policy.domain)
    return (report.organization_name, report.report_id, report.date_range.start_datetime)


def _row(*cells: str, widths: Iterable[int]) -> str:
    """Write a line; what strangers call themselves does nothing to a terminal."""
    padded = zip(cells, widths, strict=True)
    return " ".join("".join(char if char.isprintable() else "?" for char in cell).ljust(width) for cell, width in padded).rstrip()
