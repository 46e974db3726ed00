"""What `postroom check` looks at in DNS: the server's own name, and every mail domain of every organization."""

from collections.abc import Iterator, Sequence

from postroom.directory import dkim, domains
from postroom.directory.domains import Record, Targets
from postroom.model.entities import MailDomain
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.findings import Finding, Level
from postroom.server.settings import Settings
from postroom.storage.engine import Store
from postroom.storage.queries import domains as rows

_SUBJECTS = {("TXT", "_amazonses."): "ownership", ("MX", ""): "MX", ("CNAME", "autodiscover."): "autodiscover"}


def of_host(settings: Settings, lookups: Lookups) -> Iterator[Finding]:
    """Look at this server's name: does it have addresses, and do they lead back to it."""
    host = settings.mail.hostname
    found = [address for kind in ("A", "AAAA") for address in lookups.records(host, kind)]
    if not found:
        advice = "Other servers deliver to a name in DNS: set [mail] hostname to one that has an A or AAAA record."
        yield Finding(Level.BAD, "hostname", f"{host} has no address in DNS", advice)
    for address in found:
        names = lookups.pointer(address)
        if host.lower() in [name.lower() for name in names]:
            yield Finding(Level.GOOD, "hostname", f"{host} is {address} and back")
        else:
            said = ", ".join(names) or "nothing"
            advice = f"Ask who gives you the address for a PTR record naming {host}; large providers refuse mail without."
            yield Finding(Level.WARNING, "hostname", f"the PTR of {address} says {said}", advice)


def of_domains(store: Store, lookups: Lookups, targets: Targets) -> Iterator[Finding]:
    """Look at MX, SPF, ownership, DKIM and autodiscover of every domain that is not a test domain, and at its published keys."""
    for scope in store.scopes():
        with store.transaction(scope, write=False) as tx:
            names = rows.page(tx, after="", limit=1000)
            found = [domain for name in names if (domain := rows.find(tx, name)) and not domain.test]
            keys = {domain.domain: dkim.records(tx, domain, targets) for domain in found}
        for domain in found:
            try:
                yield from of_domain(domain, lookups, targets)
                yield of_keys(domain.domain, keys[domain.domain], lookups)
            except NoAnswer as error:
                yield Finding(Level.WARNING, domain.domain, str(error), "No name server answered; look at [dns] and the network.")


def of_domain(domain: MailDomain, lookups: Lookups, targets: Targets) -> Iterator[Finding]:
    """Look at one domain's records; each that is missing is spelled out as a zone file has it."""
    name = domain.domain
    for record in domains.records(domain, targets):
        wanted = _SUBJECTS.get((record.type, record.hostname.removesuffix(name)))
        if wanted is None:
            continue
        there = lookups.records(record.hostname, record.type)
        if _holds(record.type, there, record.value):
            yield Finding(Level.GOOD, name, f"{wanted} is right")
        else:
            level = Level.WARNING if wanted == "autodiscover" else Level.BAD
            yield Finding(level, name, f"{wanted}: {record.hostname} has {', '.join(there) or 'none'}", record.line)
    yield _spf(name, lookups, targets)
    yield from _dkim(domain, lookups, targets)


def of_keys(name: str, keys: Sequence[Record], lookups: Lookups) -> Finding:
    """Look whether the keys of a domain stand where its DKIM CNAMEs lead, which is in the operator's own zone."""
    if not keys:
        return Finding(Level.WARNING, name, "it has no DKIM keys yet", f"A running server makes them, and `postroom domains keys {name}`.")
    missing = [key for key in keys if key.value not in lookups.records(key.hostname, "TXT")]
    if not missing:
        return Finding(Level.GOOD, name, f"{len(keys)} DKIM keys are published")
    advice = f"Publish what `postroom domains keys {name}` prints; without it nobody can check signatures."
    return Finding(Level.WARNING, name, f"no key at {', '.join(key.hostname for key in missing)}", advice)


def _holds(kind: str, there: list[str], good: str) -> bool:
    if kind == "MX":
        return any(one.lower().partition(" ")[2] == good.lower().partition(" ")[2] for one in there)
    return good.lower() in [one.lower() for one in there] if kind == "CNAME" else good in there


def _dkim(domain: MailDomain, lookups: Lookups, targets: Targets) -> Iterator[Finding]:
    keys = [record for record in domains.records(domain, targets) if "._domainkey." in record.hostname]
    missing = [record for record in keys if not lookups.leads(record.hostname, record.value)]
    if not missing:
        yield Finding(Level.GOOD, domain.domain, "DKIM records are right")
    for record in missing:
        yield Finding(Level.WARNING, domain.domain, f"DKIM: {record.hostname} is missing", record.line)


def _spf(name: str, lookups: Lookups, targets: Targets) -> Finding:
    there = [text for text in lookups.records(name, "TXT") if text.lower().startswith("v=spf1")]
    if len(there) > 1:
        return Finding(Level.BAD, name, "there are several SPF records", "Merge them into one (RFC 7208 §4.5).")
    if there and f"include:{targets.spf_include}" in there[0].lower().split():
        return Finding(Level.GOOD, name, "SPF is right")
    said = there[0] if there else "none"
    return Finding(Level.WARNING, name, f"SPF: {said}", f'{name}. TXT "v=spf1 include:{targets.spf_include} ~all"')
