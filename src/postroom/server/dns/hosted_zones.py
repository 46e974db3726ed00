"""Writes the records of mail domains into hosted zones of Route 53, for those who named one when they made the organization.

What the customer has there stays: MX, autodiscover, SPF and DMARC records are added only where there are none, a TXT record set gets one
more text, and only the CNAMEs of DKIM, whose names are ours, replace what stands there. All changes of a domain go in one request, which
Route 53 takes whole or not at all. What fails is tried again for three days (Route 53 API: ChangeResourceRecordSets).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from postroom.aws.clients import Aws
from postroom.directory import domains
from postroom.directory.domains import Record, Targets
from postroom.storage.engine import Store
from postroom.storage.queries import domains as domain_rows
from postroom.storage.queries import zone_writes
from postroom.storage.queries.zone_writes import ZoneWrite

TTL_SECONDS = 300
PATIENCE_SECONDS = 72 * 3600
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 3600.0
PAGE = 10

RecordSets = Mapping[str, Mapping[str, Any]]

log = structlog.get_logger("postroom.server")


def write_due(store: Store, scope: int, aws: Aws, targets: Targets) -> int:
    """Write what is due in an organization, and ask Route 53 outside of transactions; give the number of domains done."""
    with store.transaction(scope, write=False) as tx:
        due = [(write, domain_rows.find(tx, write.domain)) for write in zone_writes.due(tx, limit=PAGE)]
    done = 0
    for write, domain in due:
        try:
            if domain is not None:
                _write(aws.client("route53"), write.zone, domains.records(domain, targets))
        except Exception as error:  # botocore's errors are many, and botocore is not to be imported here
            _postpone(store, scope, write, error)
            continue
        with store.transaction(scope) as tx:
            zone_writes.delete(tx, write.domain)
        log.info("hosted_zone_written", domain=write.domain, zone=write.zone)
        done += 1
    return done


def _postpone(store: Store, scope: int, write: ZoneWrite, error: Exception) -> None:
    """Note the failure in the log; after three days give up."""
    tired = store.now() - write.since > PATIENCE_SECONDS
    log.warning("hosted_zone_not_written", domain=write.domain, zone=write.zone, reason=str(error)[:500], given_up=tired)
    with store.transaction(scope) as tx:
        if tired:
            zone_writes.delete(tx, write.domain)
        else:
            zone_writes.postpone(tx, write.domain, seconds=min(FIRST_WAIT_SECONDS * 2**write.attempts, LONGEST_WAIT_SECONDS))


def _write(client: Any, zone: str, records: list[Record]) -> None:
    changes = [change for record in records for change in _change(record, _existing(client, zone, record.hostname))]
    if changes:
        client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Comment": "Postroom", "Changes": changes})


def _existing(client: Any, zone: str, name: str) -> RecordSets:
    """Give the record sets that stand under a name, by type."""
    found = client.list_resource_record_sets(HostedZoneId=zone, StartRecordName=name, MaxItems="100")["ResourceRecordSets"]
    return {one["Type"]: one for one in found if one["Name"].rstrip(".").lower() == name}


def _change(record: Record, there: RecordSets) -> Iterator[dict[str, Any]]:
    """Give the change that a record needs, if it needs one and does not take away what others have put there."""
    if record.type == "CNAME":
        if not there or (there.keys() == {"CNAME"} and "._domainkey." in record.hostname):
            yield _upsert(record, [f"{record.value}."])
    elif record.type == "MX":
        if "MX" not in there:
            yield _upsert(record, [f"{record.value}."])
    elif not there.keys() & {"CNAME", "TXT"}:
        yield _upsert(record, [f'"{record.value}"'])
    elif _is_plain(there.get("TXT", {})):
        texts = [one["Value"] for one in there["TXT"]["ResourceRecords"]]
        if not any(_makes_needless(record, text) for text in texts):
            yield _upsert(record, [*texts, f'"{record.value}"'], ttl=there["TXT"]["TTL"])


def _is_plain(record_set: Mapping[str, Any]) -> bool:
    """Say whether a record set is one of texts that another can be added to: no alias, and not one of several that share the name."""
    return "ResourceRecords" in record_set and "SetIdentifier" not in record_set


def _makes_needless(record: Record, text: str) -> bool:
    """Say whether a text that is there is the record's own, or another of a kind that may stand only once."""
    kind = next((kind for kind in ("v=spf1", "v=dmarc1") if record.value.lower().startswith(kind)), None)
    said = text.strip('"').lower()
    return said.startswith(kind) if kind else text == f'"{record.value}"'


def _upsert(record: Record, values: list[str], *, ttl: int = TTL_SECONDS) -> dict[str, Any]:
    resources = [{"Value": value} for value in values]
    return {
        "Action": "UPSERT",
        "ResourceRecordSet": {"Name": record.hostname, "Type": record.type, "TTL": ttl, "ResourceRecords": resources},
    }
