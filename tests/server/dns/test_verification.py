import pytest

from postroom.directory import domains
from postroom.directory.domains import FAILED, PENDING, VERIFIED, Targets
from postroom.model import errors
from postroom.server import dns_findings
from postroom.server.dns import verification
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.findings import Level
from postroom.storage.engine import REGISTRY
from tests.conftest import make_organization
from tests.interop.nameserver import Nameserver

NAME = "letters.test"
TARGETS = Targets("mail.lab.test", "auto.lab.test", "_spf.lab.test", "dkim.lab.test")


@pytest.fixture
def domain(store, organization):
    with store.transaction(REGISTRY) as tx:
        domains.claim(tx, NAME, organization.number)
    with store.transaction(organization.number) as tx:
        return domains.register(tx, NAME)


def zone(domain) -> dict[tuple[str, str], list[str]]:
    """Give what the administrator publishes, from the very list that the API shows."""
    records: dict[tuple[str, str], list[str]] = {}
    for record in domains.records(domain, TARGETS):
        text = f'"{record.value}"' if record.type == "TXT" else record.value + "."
        records.setdefault((record.hostname, record.type), []).append(text)
    return records


def verify(store, organization, records) -> int:
    with Nameserver(records) as nameserver:
        return verification.verify(store, organization.number, Lookups([f"127.0.0.1:{nameserver.port}"]), TARGETS)


def state(store, organization) -> tuple[str, str, bool]:
    with store.transaction(organization.number, write=False) as tx:
        found = domains.get(tx, NAME)
    with store.transaction(REGISTRY, write=False) as tx:
        return found.ownership, found.dkim, domains.route(tx, NAME) == organization.number


def test_a_domain_whose_records_are_there_takes_mail(store, organization, domain):
    assert state(store, organization) == (PENDING, PENDING, False)
    assert verify(store, organization, zone(domain)) == 1
    assert state(store, organization) == (VERIFIED, VERIFIED, True)
    assert verify(store, organization, {}) == 0
    assert state(store, organization) == (VERIFIED, VERIFIED, True)


def test_ownership_alone_opens_the_route(store, organization, domain):
    records = zone(domain)
    del records[(f"{domain.dkim_tokens[1]}._domainkey.{NAME}", "CNAME")]
    assert verify(store, organization, records) == 1
    assert state(store, organization) == (VERIFIED, PENDING, True)
    assert verify(store, organization, zone(domain)) == 1
    assert state(store, organization) == (VERIFIED, VERIFIED, True)


def test_somebody_elses_token_proves_nothing(store, organization, domain):
    records = zone(domain) | {(f"_amazonses.{NAME}", "TXT"): ['"bm90IHlvdXJz"']}
    assert verify(store, organization, records) == 1  # DKIM is right
    assert state(store, organization) == (PENDING, VERIFIED, False)


def test_after_72_hours_a_domain_has_failed(store, organization, domain, clock):
    clock.advance(72 * 3600 - 1)
    assert verify(store, organization, {}) == 0
    clock.advance(2)
    assert verify(store, organization, {}) == 1
    assert state(store, organization) == (FAILED, FAILED, False)


def test_a_domain_without_dkim_goes_on_taking_mail_and_may_try_again(store, organization, domain, clock):
    records = {key: texts for key, texts in zone(domain).items() if "_domainkey" not in key[0]}
    clock.advance(3600)
    assert verify(store, organization, records) == 1
    clock.advance(72 * 3600)
    assert verify(store, organization, records) == 1
    assert state(store, organization) == (VERIFIED, FAILED, True)
    assert verify(store, organization, zone(domain)) == 0
    with store.transaction(organization.number) as tx:
        again = domains.register(tx, NAME)
    assert (again.ownership, again.verified_at, again.dkim_tokens) == (VERIFIED, domain.registered_at + 3600, domain.dkim_tokens)
    assert verify(store, organization, zone(domain)) == 1
    assert state(store, organization) == (VERIFIED, VERIFIED, True)


def test_a_domain_that_failed_may_be_claimed_by_others(store, organization, domain, clock):
    other = make_organization(store, number=2, alias="other")
    with store.transaction(REGISTRY) as tx, pytest.raises(errors.DomainInUse):
        domains.claim(tx, NAME, other.number)
    clock.advance(72 * 3600 + 1)
    verify(store, organization, {})
    with store.transaction(REGISTRY) as tx:
        assert domains.claim(tx, NAME, other.number)


def test_a_claim_that_was_lost_is_not_proved_any_more(store, organization, domain, clock):
    """The program died between the two transactions that note a failure, and another organization was quicker."""
    other = make_organization(store, number=2, alias="other")
    with store.transaction(REGISTRY) as tx:
        domains.release(tx, NAME, organization.number)
        domains.claim(tx, NAME, other.number)
    assert verify(store, organization, zone(domain)) == 1
    assert state(store, organization) == (FAILED, VERIFIED, False)
    with store.transaction(organization.number) as tx, pytest.raises(errors.DomainState):
        domains.require_verified(tx, NAME)
    with store.transaction(REGISTRY) as tx:
        assert not domains.claim(tx, NAME, other.number)


@pytest.mark.parametrize("days", [0, 4])
def test_a_domain_registered_anew_while_dns_is_asked_is_another(store, organization, domain, clock, days):
    clock.advance(days * 86_400)

    class Meanwhile(Lookups):
        def records(self, name, kind):
            found = super().records(name, kind)
            with store.transaction(organization.number) as tx:
                domains.deregister(tx, NAME, default_domain="other.test")
                domains.register(tx, NAME)
            return found

    with Nameserver({} if days else zone(domain)) as nameserver:
        assert verification.verify(store, organization.number, Meanwhile([f"127.0.0.1:{nameserver.port}"]), TARGETS) == 0
    assert state(store, organization) == (PENDING, PENDING, False)
    with store.transaction(REGISTRY) as tx:
        assert not domains.claim(tx, NAME, organization.number)  # it still is theirs


def test_silence_is_no_answer(store, organization, domain, clock):
    """A name server that cannot be reached does not make a domain fail."""
    clock.advance(73 * 3600)
    with Nameserver({}) as nameserver:
        port = nameserver.port
    lookups = Lookups([f"127.0.0.1:{port}"])
    lookups._resolver.lifetime = 0.3
    with pytest.raises(NoAnswer):
        lookups.records(NAME, "TXT")
    assert verification.verify(store, organization.number, lookups, TARGETS) == 0
    assert state(store, organization) == (PENDING, PENDING, False)


def test_an_organization_takes_its_share_of_time(store, organization, domain):
    with Nameserver(zone(domain)) as nameserver:
        lookups = Lookups([f"127.0.0.1:{nameserver.port}"])
        assert verification.verify(store, organization.number, lookups, TARGETS, seconds=0.0) == 0
        assert nameserver.asked == []
        assert verification.verify(store, organization.number, lookups, TARGETS) == 1


def findings(domain, records) -> dict[str, Level]:
    with Nameserver(records) as nameserver:
        found = list(dns_findings.of_domain(domain, Lookups([f"127.0.0.1:{nameserver.port}"]), TARGETS))
    assert all(finding.advice for finding in found if finding.level is not Level.GOOD)
    return {finding.text.partition(" ")[0].rstrip(":"): finding.level for finding in found}


def test_check_finds_what_is_right(domain):
    assert findings(domain, zone(domain)) == dict.fromkeys(["ownership", "MX", "autodiscover", "SPF", "DKIM"], Level.GOOD)


def test_check_finds_what_is_missing_or_wrong(domain):
    records = zone(domain)
    records[(NAME, "MX")] = ["10 elsewhere.test."]
    del records[(f"autodiscover.{NAME}", "CNAME")]
    del records[(f"{domain.dkim_tokens[0]}._domainkey.{NAME}", "CNAME")]
    records[(NAME, "TXT")] = ['"v=spf1 -all"']
    assert findings(domain, records) == {
        "ownership": Level.GOOD,
        "MX": Level.BAD,
        "autodiscover": Level.WARNING,
        "SPF": Level.WARNING,
        "DKIM": Level.WARNING,
    }


def test_check_says_what_to_publish_as_a_zone_file_has_it(domain):
    with Nameserver({}) as nameserver:
        found = list(dns_findings.of_domain(domain, Lookups([f"127.0.0.1:{nameserver.port}"]), TARGETS))
    lines = [record.line for record in domains.records(domain, TARGETS)]
    assert sorted(finding.advice for finding in found) == sorted(line for line in lines if "_dmarc" not in line)
    assert f"{NAME}. MX 10 mail.lab.test." in lines
    assert f'_amazonses.{NAME}. TXT "{domain.ownership_token}"' in lines


def test_check_finds_two_spf_records(domain):
    records = zone(domain)
    records[(NAME, "TXT")] = ['"v=spf1 -all"', f'"v=spf1 include:{TARGETS.spf_include} ~all"']
    assert findings(domain, records)["SPF"] is Level.BAD
