"""When certificates are ordered, and when not: plain arithmetic."""

import pytest

from postroom.mailflow.authentication.dmarc import organizational
from postroom.server.acme import pacing
from postroom.server.acme.pacing import DAY, HOUR, Ledger, Record

NOW = 1_800_000_000.0


def test_a_certificate_is_due_at_two_thirds_of_its_life_or_when_its_authority_says():
    assert pacing.due_at(Record(), NOW, NOW + 90 * DAY) == NOW + 60 * DAY
    assert pacing.due_at(Record(renew_at=NOW + DAY), NOW, NOW + 90 * DAY) == NOW + DAY
    assert pacing.due_at(Record(renew_at=NOW + 80 * DAY), NOW, NOW + 90 * DAY) == NOW + 60 * DAY


def test_pauses_after_failures_double_up_to_half_a_day_and_are_forgotten_with_success():
    ledger, pauses = Ledger(), []
    for _ in range(10):
        ledger.failed("a.test", NOW, "no", pause=0, spread=0)
        pauses.append(ledger.of("a.test").not_before - NOW)
    assert pauses == [900, 1800, 3600, 7200, 14400, 28800, 43200, 43200, 43200, 43200]
    ledger.failed("a.test", NOW, "no", pause=0, spread=1)
    assert ledger.of("a.test").not_before - NOW == 54000
    ledger.succeeded("a.test")
    assert ledger.of("a.test") == Record()


def test_an_authority_may_ask_for_a_longer_pause_but_not_for_ever():
    ledger = Ledger()
    ledger.failed("a.test", NOW, "x" * 5000, pause=DAY, spread=0)
    assert ledger.of("a.test").not_before == NOW + DAY
    assert len(ledger.of("a.test").error) == 1000
    ledger.failed("a.test", NOW, "", pause=1e9, spread=0)
    assert ledger.of("a.test").not_before == NOW + 7 * DAY


def made(ledger, at, name, *, new=True, issued=True):
    ledger.began(name, at, new=new)
    if issued:
        ledger.succeeded(name)


def test_an_account_has_so_many_orders_in_three_hours():
    ledger = Ledger()
    for number in range(100):
        made(ledger, NOW + number, f"{number}.a{number}.test", issued=False)
        assert ledger.allowed_at("b.test", NOW + number, organizational) == (NOW + number if number < 99 else NOW + 3 * HOUR)


def test_a_name_has_so_many_certificates_in_a_week_and_so_many_failures_in_an_hour():
    ledger = Ledger()
    for number in range(4):
        assert ledger.allowed_at("a.test", NOW + 5, organizational) == NOW + 5
        made(ledger, NOW + number, "a.test", issued=False)
    assert ledger.allowed_at("a.test", NOW + 5, organizational) == NOW + HOUR
    assert ledger.allowed_at("b.test", NOW + 5, organizational) == NOW + 5
    for number in range(4):
        made(ledger, NOW + number * DAY, "a.test", new=False)
    assert ledger.allowed_at("a.test", NOW + 4 * DAY, organizational) == NOW + 7 * DAY
    assert ledger.allowed_at("b.test", NOW + 4 * DAY, organizational) == NOW + 4 * DAY


@pytest.mark.parametrize("name", ["new.example.co.uk", "example.co.uk"])
def test_a_registered_domain_has_so_many_new_names_in_a_week_and_renewals_do_not_count(name):
    ledger = Ledger()
    for number in range(40):
        made(ledger, NOW + number, f"{number}.example.co.uk")
    later = NOW + 4 * HOUR
    assert ledger.allowed_at(name, later, organizational) == NOW + 7 * DAY
    assert ledger.allowed_at("new.other.co.uk", later, organizational) == later
    assert ledger.allowed_at("3.example.co.uk", later, organizational) == later


def test_orders_are_forgotten_after_a_week_and_the_ledger_survives_its_file(tmp_path):
    ledger = Ledger()
    made(ledger, NOW, "a.test")
    made(ledger, NOW + 8 * DAY, "b.test")
    assert [order.name for order in ledger.orders] == ["b.test"]
    ledger.failed("b.test", NOW, "no", pause=0, spread=0)
    pacing.save(tmp_path / "orders.json", ledger)
    assert pacing.load(tmp_path / "orders.json") == ledger
    (tmp_path / "orders.json").write_bytes(b'{"names": {')
    assert pacing.load(tmp_path / "orders.json") == Ledger()
    assert pacing.load(tmp_path / "none") == Ledger()
