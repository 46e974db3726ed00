"""Mail domains: claims, records, verification, routes."""

import pytest

from postroom.directory import domains, registration, users
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import domains as rows
from postroom.storage.queries import organizations
from tests.conftest import make_organization


def test_a_new_domain_is_pending_and_registering_again_changes_nothing(tx: Tx) -> None:
    made = domains.register(tx, "New.Example")
    assert (made.domain, made.ownership, made.dkim, made.test, made.verified_at) == ("new.example", "PENDING", "PENDING", False, None)
    assert domains.register(tx, "new.example") == made == domains.get(tx, "NEW.example")


def test_a_trusted_domain_is_verified_at_once(tx: Tx) -> None:
    domains.register(tx, "lab.example", verified=True)
    assert domains.require_verified(tx, "lab.example").verified_at == tx.now


def test_the_test_domain_is_verified(tx: Tx) -> None:
    domain = domains.require_verified(tx, "example.postroom.test")
    assert (domain.test, domain.ownership, domain.dkim) == (True, "VERIFIED", "VERIFIED")


def test_verification_comes_and_goes(tx: Tx) -> None:
    domains.register(tx, "new.example")
    with pytest.raises(errors.DomainState):
        domains.require_verified(tx, "new.example")
    domains.set_verification(tx, "new.example", ownership="VERIFIED", dkim="PENDING")
    found = domains.require_verified(tx, "new.example")
    assert (found.ownership, found.dkim, found.verified_at) == ("VERIFIED", "PENDING", tx.now)
    domains.set_verification(tx, "new.example", ownership="FAILED", dkim="FAILED")
    with pytest.raises(errors.DomainState):
        domains.require_verified(tx, "new.example")
    with pytest.raises(errors.DomainNotFound):
        domains.set_verification(tx, "other.example")
    with pytest.raises(ValueError, match="GOOD"):
        domains.set_verification(tx, "new.example", ownership="GOOD")


def test_registering_again_gives_a_failed_domain_another_try(tx: Tx) -> None:
    made = domains.register(tx, "new.example")
    domains.set_verification(tx, "new.example", ownership="FAILED", dkim="FAILED")
    again = domains.register(tx, "new.example")
    assert (again.ownership, again.dkim, again.ownership_token) == ("PENDING", "PENDING", made.ownership_token)


def test_records_are_in_the_order_that_scripts_rely_on(tx: Tx) -> None:
    domain = domains.register(tx, "new.example")
    targets = domains.Targets("mx.host.example", "auto.host.example", "spf.host.example", "dkim.host.example")
    shown = [(record.type, record.hostname, record.value) for record in domains.records(domain, targets)]
    one, two, three = domain.dkim_tokens
    assert shown == [
        ("TXT", "_amazonses.new.example", domain.ownership_token),
        ("MX", "new.example", "10 mx.host.example"),
        ("CNAME", "autodiscover.new.example", "auto.host.example"),
        ("CNAME", f"{one}._domainkey.new.example", f"{one}.dkim.host.example"),
        ("CNAME", f"{two}._domainkey.new.example", f"{two}.dkim.host.example"),
        ("CNAME", f"{three}._domainkey.new.example", f"{three}.dkim.host.example"),
        ("TXT", "new.example", "v=spf1 include:spf.host.example ~all"),
        ("TXT", "_dmarc.new.example", "v=DMARC1;p=quarantine;pct=100;fo=1"),
    ]
    assert len(domain.ownership_token) == 44
    assert all(len(token) == 32 and token.isalnum() for token in domain.dkim_tokens)


def test_a_domain_in_use_stays_and_a_missing_one_is_gone_already(tx: Tx) -> None:
    domains.register(tx, "new.example", verified=True)
    user = users.create(tx, name="alice", display_name="")
    registration.register(tx, user.id, "alice@new.example")
    with pytest.raises(errors.DomainInUse):
        domains.deregister(tx, "new.example", default_domain="example.test")
    registration.deregister(tx, user.id)
    domains.deregister(tx, "NEW.example", default_domain="example.test")
    domains.deregister(tx, "new.example", default_domain="example.test")
    with pytest.raises(errors.DomainNotFound):
        domains.get(tx, "new.example")


def test_the_test_domain_and_the_default_stay(tx: Tx) -> None:
    with pytest.raises(errors.InvalidParameter):
        domains.deregister(tx, "example.postroom.test", default_domain="example.test")
    with pytest.raises(errors.InvalidParameter):
        domains.deregister(tx, "example.test", default_domain="Example.test")


@pytest.mark.parametrize(
    "name", ["single", "a..b", "-a.example", "a.example-", "10.0.0.1", "a_b.example", "x" * 64 + ".example", ".example"]
)
def test_what_cannot_be_a_domain_is_refused(tx: Tx, name: str) -> None:
    with pytest.raises(errors.InvalidParameter):
        domains.register(tx, name)


def test_a_thousand_domains_are_the_limit(tx: Tx) -> None:
    for number in range(998):
        domains.register(tx, f"d{number}.example")
    assert rows.count(tx) == 1000
    with pytest.raises(errors.LimitExceeded):
        domains.register(tx, "more.example")
    domains.register(tx, "d5.example")


def test_a_claim_is_unique_across_organizations(store: Store, organization: Organization) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(REGISTRY) as tx:
        assert domains.claim(tx, "New.example", organization.number)
        assert not domains.claim(tx, "new.example", organization.number)
        with pytest.raises(errors.DomainInUse):
            domains.claim(tx, "new.example", other.number)
        domains.release(tx, "new.example", other.number)
        assert organizations.find_claim(tx, "new.example") == organization.number
        domains.release(tx, "NEW.example", organization.number)
        assert domains.claim(tx, "new.example", other.number)


def test_mail_is_routed_only_to_verified_claims(store: Store, organization: Organization) -> None:
    with store.transaction(REGISTRY) as tx:
        domains.claim(tx, "new.example", organization.number)
        assert domains.route(tx, "new.example") is None
        domains.set_routed(tx, "new.example", organization.number + 1)
        assert domains.route(tx, "new.example") is None
        domains.set_routed(tx, "New.example", organization.number)
        assert domains.route(tx, "NEW.example.") == organization.number
        domains.set_routed(tx, "new.example", organization.number, routed=False)
        assert domains.route(tx, "new.example") is None
        assert domains.route(tx, "example.test") == organization.number
        assert domains.route(tx, "not a domain") is None
