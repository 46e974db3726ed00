"""What the owner of a mail domain publishes: ownership, MX, SPF, DKIM, DMARC and autodiscover.

Verification of domains, `postroom check` and `postroom check domain` expect the same here. Beside the records that GetMailDomain lists
others will do: an SPF record that lets this server send in another way, a DMARC policy of the owner's own, autodiscover by SRV.
"""

from collections.abc import Sequence

from postroom.directory import dkim as domain_keys
from postroom.directory import domains
from postroom.directory.domains import Record, Targets
from postroom.mailflow.assessment import Policy, Result
from postroom.mailflow.authentication import dmarc, spf
from postroom.model.entities import MailDomain
from postroom.server.dns.expectations import Expectation, Judge, Judgement, contains, is_only, of_record
from postroom.server.dns.lookups import Lookups

SPF = "v=spf1"
_SEVERAL_SPF = "there are several SPF records: merge them into one (RFC 7208 §4.5)"


def ownership(domain: MailDomain, targets: Targets) -> Expectation:
    """Expect the text that proves who owns the domain."""
    record = _one(domain, targets, "TXT", "_amazonses.")
    return of_record("ownership", record, contains(record.value))


def mx(domain: MailDomain, targets: Targets) -> Expectation:
    """Expect an MX that leads here, whatever its preference."""

    def judge(found: Sequence[str]) -> Judgement:
        hosts = [one.lower().partition(" ")[2] for one in found]
        others = sorted(set(hosts) - {targets.mail_host.lower()})
        return Judgement(targets.mail_host.lower() in hosts, f"mail may also go to {', '.join(others)}" if others else "")

    return of_record("MX", _one(domain, targets, "MX", ""), judge)


def dkim(domain: MailDomain, targets: Targets) -> list[Expectation]:
    """Expect a CNAME for each selector, which leads to its key."""
    records = [record for record in domains.records(domain, targets) if "._domainkey." in record.hostname]
    return [of_record("DKIM", record, is_only(record.value)) for record in records]


def dkim_beside(domain: MailDomain, targets: Targets) -> list[Expectation]:
    """Expect those of the Ed25519 keys, too, which few verifiers know and nobody needs."""
    return [of_record("DKIM", record, is_only(record.value), needed=False) for record in domain_keys.records_beside(domain, targets)]


def autodiscover(domain: MailDomain, targets: Targets, lookups: Lookups) -> Expectation:
    """Expect the CNAME that clients follow, or the SRV record that they ask for where there is none."""
    record = _one(domain, targets, "CNAME", "autodiscover.")

    def judge(found: Sequence[str]) -> Judgement:
        if is_only(record.value)(found).right:
            return Judgement(True)
        services = [one.lower().split() for one in lookups.records(f"_autodiscover._tcp.{domain.domain}", "SRV")]
        by_service = [service[3] for service in services if len(service) == 4] == [record.value.lower()]
        return Judgement(by_service and not found, "by its SRV record" if by_service and not found else "")

    return of_record("autodiscover", record, judge, needed=False)


def sender_policy(domain: MailDomain, targets: Targets, judge: Judge) -> Expectation:
    """Expect one SPF record, judged by `includes` or `lets_send`."""
    return of_record("SPF", _one(domain, targets, "TXT", ""), judge, prefix=SPF)


def includes(targets: Targets) -> Judge:
    """Want the record to include this server's."""

    def judge(found: Sequence[str]) -> Judgement:
        if len(found) > 1:
            return Judgement(False, _SEVERAL_SPF)
        return Judgement(bool(found) and f"include:{targets.spf_include}".lower() in found[0].lower().split())

    return judge


def lets_send(name: str, addresses: Sequence[str], lookups: Lookups, now: float) -> Judge:
    """Want one record by which each of this server's addresses may send as `name` (RFC 7208 §4)."""

    def judge(found: Sequence[str]) -> Judgement:
        if len(found) > 1:
            return Judgement(False, _SEVERAL_SPF)
        if not found or not addresses:
            return Judgement(False)
        results = {address: _may_send(address, name, lookups, now) for address in addresses}
        refused = [f"{address}: {result}" for address, result in results.items() if result is not Result.PASS]
        return Judgement(not refused, "; ".join(refused))

    return judge


def author_policy(domain: MailDomain, targets: Targets, lookups: Lookups) -> Expectation:
    """Expect a DMARC policy, of the domain's own or of the organization it is a part of (RFC 7489 §6.6.3)."""
    record = _one(domain, targets, "TXT", "_dmarc.")

    def judge(found: Sequence[str]) -> Judgement:
        above = dmarc.organizational(domain.domain)
        where = domain.domain
        if not found and above != where:
            where, found = above, lookups.records(f"_dmarc.{above}", "TXT")
        policy = dmarc.parse(where, found)
        if policy is None:
            return Judgement(False, "not one policy that can be read" if found else "")
        remarks = [f"that of {where} holds"] if where != domain.domain else []
        if policy.policy is Policy.NONE:
            remarks.append("p=none asks nobody to keep forged mail out")
        return Judgement(True, "; ".join(remarks))

    return of_record("DMARC", record, judge, prefix="v")


def _may_send(address: str, name: str, lookups: Lookups, now: float) -> Result:
    client = spf.Client(address, name)
    return lookups.evaluate(spf.evaluate(client, f"postmaster@{name}", name, now)).result


def _one(domain: MailDomain, targets: Targets, kind: str, prefix: str) -> Record:
    name = f"{prefix}{domain.domain}"
    return next(record for record in domains.records(domain, targets) if (record.type, record.hostname) == (kind, name))
