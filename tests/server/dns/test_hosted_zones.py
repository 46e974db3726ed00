"""Records written into hosted zones of Route 53, as moto offers it over HTTP."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from postroom.aws.clients import Aws
from postroom.aws.settings import Settings
from postroom.directory import domains, organizations
from postroom.directory.domains import Targets
from postroom.model import ids
from postroom.model.organizations import Organization
from postroom.server.dns import hosted_zones
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import organizations as rows
from postroom.storage.queries import zone_writes

NAME = "letters.test"
TARGETS = Targets("mail.lab.test", "auto.lab.test", "_spf.lab.test", "dkim.lab.test")
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
THEIRS = "www.letters.test."


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(endpoint: str) -> Aws:
    return Aws(Settings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=endpoint), "us-east-1")


class Zone:
    """A hosted zone, looked at by boto3."""

    def __init__(self, endpoint: str) -> None:
        self.client = boto3.client("route53", endpoint_url=endpoint, region_name="us-east-1", **KEYS)
        self.id = self.client.create_hosted_zone(Name=NAME, CallerReference=str(id(self)))["HostedZone"]["Id"].rpartition("/")[2]

    def put(self, name: str, kind: str, *values: str) -> None:
        records = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value} for value in values]}
        self.client.change_resource_record_sets(
            HostedZoneId=self.id, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": records}]}
        )

    def records(self) -> dict[tuple[str, str], list[str]]:
        pages = self.client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=self.id)
        return {
            (one["Name"].rstrip("."), one["Type"]): sorted(value["Value"] for value in one["ResourceRecords"])
            for page in pages
            for one in page["ResourceRecordSets"]
            if one["Type"] not in ("NS", "SOA")
        }


@pytest.fixture
def zone(endpoint: str) -> Zone:
    return Zone(endpoint)


def scope_of(store: Store, zone_id: str) -> int:
    made = organizations.create(store, alias="letters", mail_domains=[NAME], zones={NAME: zone_id})
    return made.number


def wanted(store: Store, scope: int) -> dict[tuple[str, str], list[str]]:
    """Give what the API tells the administrator to publish."""
    with store.transaction(scope) as tx:
        records = domains.records(domains.get(tx, NAME), TARGETS)
    return {(one.hostname, one.type): [f'"{one.value}"' if one.type == "TXT" else f"{one.value}."] for one in records}


def due(store: Store, scope: int) -> list[Any]:
    with store.transaction(scope) as tx:
        return zone_writes.due(tx, limit=10)


def test_an_empty_zone_gets_all_eight_records(store: Store, aws: Aws, zone: Zone) -> None:
    scope = scope_of(store, zone.id)
    assert hosted_zones.write_due(store, scope, aws, TARGETS) == 1
    assert len(wanted(store, scope)) == 8
    assert zone.records() == wanted(store, scope)
    assert hosted_zones.write_due(store, scope, aws, TARGETS) == 0


def test_what_the_customer_has_there_stays(store: Store, aws: Aws, zone: Zone) -> None:
    scope = scope_of(store, zone.id)
    zone.put(NAME, "MX", "5 mx.elsewhere.test.")
    zone.put(NAME, "TXT", '"v=spf1 include:elsewhere.test -all"', '"site=1"')
    zone.put(f"_amazonses.{NAME}", "TXT", '"theirs"')
    zone.put(f"_dmarc.{NAME}", "TXT", '"v=DMARC1; p=reject"')
    zone.put(f"autodiscover.{NAME}", "A", "192.0.2.1")
    before = zone.records()
    hosted_zones.write_due(store, scope, aws, TARGETS)
    after = zone.records()
    ours = wanted(store, scope)[f"_amazonses.{NAME}", "TXT"]
    assert after.pop((f"_amazonses.{NAME}", "TXT")) == sorted(['"theirs"', *ours])
    del before[f"_amazonses.{NAME}", "TXT"]
    keys = {key: after.pop(key) for key in list(after) if "_domainkey" in key[0]}
    assert len(keys) == 3
    assert after == before


def test_other_texts_another_autodiscover_and_an_old_key(store: Store, aws: Aws, zone: Zone) -> None:
    """Clients of a mail system that the MX still leads to go on finding it."""
    scope = scope_of(store, zone.id)
    key = next(key for key in wanted(store, scope) if "_domainkey" in key[0])
    zone.put(NAME, "TXT", '"site=1"')
    zone.put(f"autodiscover.{NAME}", "CNAME", "elsewhere.test.")
    zone.put(*key, "old.elsewhere.test.")
    hosted_zones.write_due(store, scope, aws, TARGETS)
    after = zone.records()
    assert after[NAME, "TXT"] == ['"site=1"', f'"v=spf1 include:{TARGETS.spf_include} ~all"']
    assert after[f"autodiscover.{NAME}", "CNAME"] == ["elsewhere.test."]
    sets = zone.client.list_resource_record_sets(HostedZoneId=zone.id)["ResourceRecordSets"]
    assert [one["TTL"] for one in sets if (one["Name"], one["Type"]) == (f"{NAME}.", "TXT")] == [60]
    assert after[key] == wanted(store, scope)[key]


def test_a_text_that_is_one_of_several_stays(store: Store, aws: Aws, zone: Zone) -> None:
    scope = scope_of(store, zone.id)
    texts = {"Name": NAME, "Type": "TXT", "SetIdentifier": "a", "Weight": 1, "TTL": 60, "ResourceRecords": [{"Value": '"site=1"'}]}
    zone.client.change_resource_record_sets(
        HostedZoneId=zone.id, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": texts}]}
    )
    assert hosted_zones.write_due(store, scope, aws, TARGETS) == 1
    assert zone.records()[NAME, "TXT"] == ['"site=1"']


def test_a_zone_that_is_not_there_is_tried_for_three_days(store: Store, aws: Aws, clock: Any) -> None:
    scope = scope_of(store, "Z0000000000")
    waits = []
    while due(store, scope):
        assert hosted_zones.write_due(store, scope, aws, TARGETS) == 0
        assert due(store, scope) == []
        with store.transaction(scope) as tx:
            row = tx.one("SELECT due_at FROM zone_writes WHERE organization = :organization")
        if row is None:
            break
        waits.append(row[0] - clock.now)
        clock.now = row[0]
    assert waits[:3] == [60, 120, 240]
    assert max(waits) == 3600
    assert 72 <= sum(waits) / 3600 < 74


def test_a_domain_that_has_gone_is_not_written(store: Store, aws: Aws, zone: Zone) -> None:
    scope = scope_of(store, zone.id)
    with store.transaction(scope) as tx:
        domains.deregister(tx, NAME, default_domain="letters.postroom.test")
    assert hosted_zones.write_due(store, scope, aws, TARGETS) == 0
    assert zone.records() == {}


def test_an_organization_half_made_keeps_its_zone(store: Store, aws: Aws, zone: Zone) -> None:
    """The program died after the claims."""
    half = Organization(
        1, ids.new_organization_id(), "letters", "Creating", ids.new_directory_id(), "VpcDirectory", "letters.lab.test", None, 0.0
    )
    with store.transaction(REGISTRY) as tx:
        rows.insert(tx, half, store.keys.new_data_key(None).wrapped)
        domains.claim(tx, half.default_domain, 1, verified=True)
        domains.claim(tx, NAME, 1, zone=zone.id)
    organizations.recover(store)
    assert hosted_zones.write_due(store, 1, aws, TARGETS) == 1
    assert zone.records() == wanted(store, 1)
