"""How connections came out is counted in memory, in bounds, written in batches, and told in the words of RFC 8460."""

from __future__ import annotations

import gzip
from dataclasses import replace

import msgspec
import pytest

from postroom.formats import tls_report
from postroom.formats.report_letter import Submitter
from postroom.mailflow.outbound.tls_outcome import TlsOutcome
from postroom.mailflow.reports import tls_reports, tls_tally
from postroom.mailflow.reports.tls_tally import Kind, Tally
from postroom.model.organizations import Organization
from postroom.storage.engine import REGISTRY, Store

DAY = 20_000
AT = DAY * 86_400.0 + 5
STS = ("version: STSv1", "mode: enforce", "mx: *.far.test", "MX : mx2.far.test", "max_age: 86400")
GOOD = TlsOutcome("sts", "Far.Test", STS, "mx.far.test", "192.0.2.1", "192.0.2.9", "", "", AT)
BAD = replace(GOOD, result="certificate-expired", details="it is\n over")
DANE = TlsOutcome("tlsa", "far.test", ("3 1 1 00",), "mx.far.test", "192.0.2.1", "192.0.2.9", "", "", AT)
PLAIN = TlsOutcome("no-policy-found", "far.test", (), "mx.far.test", "192.0.2.1", "192.0.2.9", "starttls-not-supported", "", AT)


def counted(*outcomes: TlsOutcome) -> list[tls_tally.Counted]:
    tally = Tally()
    for outcome in outcomes:
        tally(outcome)
    return tally.take()


def test_alike_ones_are_one_and_what_went_well_tells_no_more() -> None:
    assert counted(GOOD, replace(GOOD, mx_host="mx2.far.test", receiving_ip="192.0.2.2"), BAD, replace(GOOD, at=AT + 86_400)) == [
        (DAY, "far.test", Kind("sts", STS), 2),
        (DAY, "far.test", Kind("sts", STS, "mx.far.test", "192.0.2.1", "192.0.2.9", "certificate-expired", "it is over"), 1),
        (DAY + 1, "far.test", Kind("sts", STS), 1),
    ]


def test_an_address_literal_has_no_place_for_a_record() -> None:
    assert counted(replace(GOOD, policy_domain="[192.0.2.1]")) == []


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_tally, "MOST_WAITING", 3)
    tally = Tally()
    for number in [*range(9), 0]:
        tally(replace(GOOD, policy_domain=f"{number}.test"))
    assert [(domain, count) for _, domain, _, count in tally.take()] == [("0.test", 2), ("1.test", 1), ("2.test", 1)]
    assert tally.take() == []


def test_a_batch_that_was_not_written_is_counted_again() -> None:
    tally = Tally()
    tally(GOOD)
    batch = tally.take()
    tally(GOOD)
    tally.put_back(batch)
    assert [count for *_, count in tally.take()] == [2]


def test_batches_add_up_within_bounds(store: Store, organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_tally, "MAX_KINDS", 2)
    for batch in (counted(GOOD, GOOD, BAD), counted(GOOD, PLAIN)):
        with store.transaction(REGISTRY) as tx:
            tls_tally.write(tx, batch)
    with store.transaction(REGISTRY, write=False) as tx:
        assert [(kind.result, count) for kind, count in tls_tally.read(tx, DAY, "far.test")] == [("", 3), ("certificate-expired", 1)]
        assert tls_reports.page(tx, before=DAY + 1, after=(0, ""), limit=9) == [(DAY, "far.test")]
        assert tls_reports.page(tx, before=DAY, after=(0, ""), limit=9) == []
        assert tls_reports.page(tx, before=DAY + 1, after=(DAY, "far.test"), limit=9) == []
    with store.transaction(REGISTRY) as tx:
        tls_reports.forget(tx, DAY, "far.test")
        assert tls_tally.read(tx, DAY, "far.test") == []


def test_a_report_in_the_words_of_the_standard() -> None:
    found = [(kind, count) for _, _, kind, count in counted(GOOD, GOOD, BAD, DANE, PLAIN)]
    submitter = Submitter("Example", "tls@example.test", "ask@example.test")
    raw = tls_reports.write(tls_reports.subject(submitter, "far.test", DAY), submitter, found)
    report = tls_report.read(gzip.compress(raw))
    assert (report.organization_name, report.contact_info) == ("Example", "ask@example.test")
    assert report.date_range == tls_report.Range("2024-10-04T00:00:00Z", "2024-10-04T23:59:59Z")
    assert [(one.policy.policy_type, one.policy.policy_domain, one.policy.mx_host) for one in report.policies] == [
        ("sts", "far.test", ("*.far.test", "mx2.far.test")),
        ("tlsa", "mx.far.test", ()),
        ("no-policy-found", "far.test", ()),
    ]
    summaries = [(one.summary.total_successful_session_count, one.summary.total_failure_session_count) for one in report.policies]
    assert summaries == [(2, 1), (1, 0), (0, 1)]
    assert msgspec.json.decode(raw)["policies"][0]["failure-details"] == [
        {
            "result-type": "certificate-expired",
            "sending-mta-ip": "192.0.2.9",
            "receiving-mx-hostname": "mx.far.test",
            "receiving-ip": "192.0.2.1",
            "failed-session-count": 1,
            "failure-reason-code": "it is over",
        }
    ]
