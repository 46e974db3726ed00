"""Ed25519 keys sign once DNS shows them where a verifier would look, and no longer than that."""

from postroom.directory import dkim, domains
from postroom.model.organizations import Organization
from postroom.server.dns import domain_work, second_signatures
from postroom.server.dns.lookups import Lookups
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.interop.nameserver import Nameserver
from tests.server.dns.test_verification import TARGETS

NAME = "example.test"


def texts(store: Store, organization: Organization) -> dict[tuple[str, str], list[str]]:
    """Give the records that a verifier would find, the CNAMEs followed."""
    with store.transaction(organization.number) as tx:
        return {(f"{selector}._domainkey.{NAME}", "TXT"): [f'"{text}"'] for selector, text in dkim.texts(tx, domains.get(tx, NAME)).items()}


def algorithms(store: Store, organization: Organization) -> list[str]:
    with store.transaction(organization.number) as tx:
        return ["ed25519" if selector.endswith("-ed25519") else "rsa" for selector, _ in dkim.signers(tx, NAME)]


def test_the_record_is_looked_for_until_it_is_there_and_every_day_after(store: Store, organization: Organization, clock: Clock) -> None:
    with Nameserver({}) as nameserver:
        lookups = Lookups([f"127.0.0.1:{nameserver.port}"])
        work = domain_work.work(lookups=lookups, targets=TARGETS, aws=None)
        work(store, organization.number)
        asked = len(nameserver.asked)
        assert asked == 6  # three keys of each of two domains
        nameserver.zone.update(texts(store, organization))
        assert second_signatures.look(store, organization.number, lookups) == 0
        assert algorithms(store, organization) == ["rsa"]
        clock.advance(3600)
        assert second_signatures.look(store, organization.number, lookups) == 6
        assert algorithms(store, organization) == ["rsa", "ed25519"]
        nameserver.zone = {}
        clock.advance(3600)
        assert second_signatures.look(store, organization.number, lookups) == 3
        assert algorithms(store, organization) == ["rsa", "ed25519"]
        clock.advance(86_400 - 3600)
        second_signatures.look(store, organization.number, lookups)
        assert algorithms(store, organization) == ["rsa"]


def test_somebody_elses_key_and_several_are_none(store: Store, organization: Organization) -> None:
    domain_work.work(lookups=None, targets=TARGETS, aws=None)(store, organization.number)
    with store.transaction(organization.number) as tx:
        selector = dkim.selectors(domains.get(tx, NAME))[3]
        good = dkim.texts(tx, domains.get(tx, NAME))[selector].partition("p=")[2]
    right = f"v=DKIM1; k=ed25519; p={good}"
    for shown, seen in (
        ([right], True),
        ([f"k=ed25519;p={good[:20]} {good[20:]}"], True),
        ([right.replace("ed25519", "rsa")], False),
        ([right.replace(good, good[::-1])], False),
        (["v=spf1 -all"], False),
        ([right, f"{right}; n=again"], False),
        ([], False),
    ):
        records = {(f"{selector}._domainkey.{NAME}", "TXT"): [f'"{text}"' for text in shown]} if shown else {}
        with Nameserver(records) as nameserver:
            lookups = Lookups([f"127.0.0.1:{nameserver.port}"])
            assert second_signatures.is_shown(NAME, selector, good, lookups) is seen, shown
    lookups = Lookups(["127.0.0.1:1"])
    lookups._resolver.lifetime = 0.2
    assert not second_signatures.is_shown(NAME, selector, good, lookups)


def test_where_dns_proves_nothing_both_keys_sign(store: Store, organization: Organization) -> None:
    domain_work.work(lookups=None, targets=TARGETS, aws=None)(store, organization.number)
    assert algorithms(store, organization) == ["rsa", "ed25519"]
