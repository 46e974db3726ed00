"""What strangers' letters come to by DMARC is counted with them: alike ones together, within bounds, and no reports about reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postroom.formats.dmarc_report import DkimResult, Row
from postroom.mailflow import inbound
from postroom.mailflow.assessment import Assessment, Authentication, Content, Dmarc, Policy, Result, Signature, Spf
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.reports import dmarc_counts
from postroom.model import errors
from postroom.policy import dmarc
from postroom.storage.engine import Store
from postroom.storage.queries import dmarc_counts as queries
from tests.conftest import Clock
from tests.mailflow.letters import LIMITS, Raw, letter
from tests.people import People

RECORD = "v=DMARC1; p=reject; rua=mailto:agg@far.test"
FORGED = Dmarc(Result.FAIL, "far.test", "far.test", Policy.REJECT, Policy.REJECT, record=RECORD, reports=("mailto:agg@far.test",))
GENUINE = replace(FORGED, result=Result.PASS, policy=Policy.NONE, dkim_aligned=True)


def known(found: Dmarc = GENUINE, *, address: str = "192.0.2.1", **values: Any) -> Assessment:
    spf = Spf(Result.SOFTFAIL, "Far.Test", "mailfrom")
    signatures = (Signature(Result.PASS, "Far.test", "s1"), Signature(Result.PASS, "Far.test", "s1"), Signature(Result.TEMPERROR, ""))
    return Assessment(Authentication(address, "mx.far.test", spf=spf, dkim=signatures, dmarc=found), **values)


def come(store: Store, assessment: Assessment, *, subject: str = "hello", refusing: bool = False, sender: str = "a@far.test") -> None:
    """Let a letter come in as the SMTP server does."""
    envelope = Envelope(sender, ("alice@example.test",))
    prepared = inbound.prepare(store, 1, envelope, Raw(letter(subject, sender=sender)), LIMITS, assessment)
    try:
        with store.transaction(1) as tx:
            inbound.deliver(tx, envelope, prepared, assessment, refusing)
    except (errors.LetterRefused, errors.OverQuota) as refused:
        with store.transaction(1) as tx:
            inbound.refuse(tx, envelope, prepared, refused, assessment, refusing)


def rows(store: Store, domain: str = "far.test") -> tuple[Row, ...]:
    with store.transaction(1, write=False) as tx:
        return dmarc_counts.rows(tx, int(store.now() // 86_400), domain)


def test_letters_that_are_alike_are_one_row(store: Store, people: People) -> None:
    for _ in range(3):
        come(store, known())
    come(store, known(address="::ffff:192.0.2.1"))
    come(store, known(address="2001:db8::1%eth0"))
    common = {"header_from": "far.test", "envelope_from": "far.test", "spf_domain": "far.test", "spf_result": "softfail"}
    signatures = (DkimResult("far.test", "s1", "pass"),)
    assert rows(store) == (
        Row("192.0.2.1", 4, "none", "pass", "fail", signatures=signatures, **common),
        Row("2001:db8::1", 1, "none", "pass", "fail", signatures=signatures, **common),
    )
    with store.transaction(1, write=False) as tx:
        today = int(store.now() // 86_400)
        assert queries.page(tx, before=today + 1, after=(0, ""), limit=9) == [(today, "far.test", RECORD, "mailto:agg@far.test")]
        assert queries.page(tx, before=today, after=(0, ""), limit=9) == []


def test_a_new_day_is_counted_anew(store: Store, people: People, clock: Clock) -> None:
    come(store, known())
    clock.advance(86_400)
    come(store, known())
    assert [row.count for row in rows(store)] == [1]


@pytest.mark.parametrize("refusing", [True, False])
def test_what_is_refused_or_dropped_is_counted_once(store: Store, people: People, refusing: bool) -> None:
    come(store, known(FORGED), refusing=refusing)
    assert [(row.disposition, row.reason, row.count) for row in rows(store)] == [("reject", "", 1)]


def test_what_filters_refuse_is_counted_too(store: Store, people: People) -> None:
    come(store, known(content=Content(refuse="malware")))
    assert [(row.disposition, row.count) for row in rows(store)] == [("none", 1)]


@pytest.mark.parametrize(
    ("found", "disposition", "reason"),
    [
        (replace(FORGED, policy=Policy.QUARANTINE), "quarantine", "sampled_out"),
        (replace(FORGED, policy=Policy.NONE, reason="passed on by lists.test"), "none", "trusted_forwarder"),
        (replace(FORGED, result=Result.TEMPERROR, policy=Policy.NONE, reason="SPF or DKIM could not be asked for"), "none", "other"),
        (replace(FORGED, published=Policy.NONE, policy=Policy.NONE), "none", ""),
    ],
)
def test_why_not_what_the_domain_asks_for_was_done(store: Store, people: People, found: Dmarc, disposition: str, reason: str) -> None:
    come(store, known(found))
    assert [(row.disposition, row.reason) for row in rows(store)] == [(disposition, reason)]


def test_an_organization_that_does_not_act_says_so(store: Store, people: People) -> None:
    with store.transaction(1) as tx:
        dmarc.set_enforced(tx, False)
    come(store, known(FORGED))
    assert [(row.disposition, row.reason) for row in rows(store)] == [("none", "local_policy")]


@pytest.mark.parametrize(
    "assessment",
    [
        Assessment(),
        known(replace(GENUINE, reports=())),
        known(Dmarc(Result.NONE, "far.test")),
        known(Dmarc(Result.TEMPERROR, "far.test", reason="DNS does not answer")),
    ],
)
def test_who_does_not_ask_is_not_told(store: Store, people: People, assessment: Assessment) -> None:
    come(store, assessment)
    assert rows(store) == ()


def test_reports_are_not_reported_but_nobody_hides_behind_their_subject(store: Store, people: People) -> None:
    subject = "Report Domain: example.test Submitter: far.test Report-ID: <1@far.test>"
    come(store, known(), subject=subject)
    assert rows(store) == ()
    come(store, known(FORGED), subject=subject)
    assert [row.disposition for row in rows(store)] == ["reject"]


def test_kinds_and_domains_are_bounded(store: Store, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dmarc_counts, "MAX_KINDS", 3)
    monkeypatch.setattr(dmarc_counts, "MAX_DOMAINS", 2)
    for number in range(5):
        come(store, known(address=f"192.0.2.{number}"))
    come(store, known(address="192.0.2.0"))
    assert [(row.source, row.count) for row in rows(store)][:1] == [("192.0.2.0", 2)]
    assert len(rows(store)) == 3
    for name in ("b.test", "c.test"):
        come(store, known(replace(GENUINE, domain=name, policy_domain=name)))
    assert [len(rows(store, name)) for name in ("b.test", "c.test")] == [1, 0]


def test_a_letter_that_is_to_come_again_is_not_counted(store: Store, people: People) -> None:
    with pytest.raises(errors.TryLater):
        come(store, known(content=Content(defer="later")))
    assert rows(store) == ()
