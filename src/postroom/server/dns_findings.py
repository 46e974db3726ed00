"""What `postroom check` looks at in DNS: the server's own name, and every mail domain of every organization."""

from collections.abc import Iterator, Sequence

from postroom.directory import dkim
from postroom.directory.domains import Record, Targets
from postroom.model.entities import MailDomain
from postroom.server.dns import host_records, mail_records
from postroom.server.dns.expectations import Look
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.findings import Finding, Level
from postroom.server.settings import Settings
from postroom.storage.engine import Store
from postroom.storage.queries import domains as rows

_VITAL = frozenset({"ownership", "MX"})
"""Without these no mail comes in."""


def of_host(settings: Settings, lookups: Lookups) -> Iterator[Finding]:
    """Look at this server's name: does it have addresses, and do they lead back to it."""
    host = settings.mail.hostname
    found = host_records.addresses(host, lookups)
    if not found:
        advice = "Other servers deliver to a name in DNS: set [mail] hostname to one that has an A or AAAA record."
        yield Finding(Level.BAD, "hostname", f"{host} has no address in DNS", advice)
    for address in found:
        back = host_records.pointer(address, host, lookups).look(lookups)
        if back.right and not back.remark:
            yield Finding(Level.GOOD, "hostname", f"{host} is {address} and back")
        else:
            said = ", ".join(back.found) or "nothing"
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
    """Look at what the owner of one domain publishes; each record that is missing is spelled out as a zone file has it."""
    expected = (
        mail_records.ownership(domain, targets),
        mail_records.mx(domain, targets),
        mail_records.autodiscover(domain, targets, lookups),
        mail_records.sender_policy(domain, targets, mail_records.includes(targets)),
    )
    for expectation in expected:
        yield _finding(domain.domain, expectation.look(lookups))
    keys = [expectation.look(lookups) for expectation in mail_records.dkim(domain, targets)]
    if all(key.right for key in keys):
        yield Finding(Level.GOOD, domain.domain, "DKIM records are right")
    else:
        yield from (_finding(domain.domain, key) for key in keys if not key.right)


def _finding(name: str, look: Look) -> Finding:
    if look.right:
        return Finding(Level.GOOD, name, f"{look.subject} is right")
    bad = look.subject in _VITAL or len(look.found) > 1
    said = f"{look.subject}: {look.hostname} has {', '.join(look.found) or 'none'}"
    return Finding(Level.BAD if bad else Level.WARNING, name, f"{said}; {look.remark}" if look.remark else said, *look.paste)


def of_keys(name: str, keys: Sequence[Record], lookups: Lookups) -> Finding:
    """Look whether the keys of a domain stand where its DKIM CNAMEs lead, which is in the operator's own zone."""
    if not keys:
        return Finding(Level.WARNING, name, "it has no DKIM keys yet", f"A running server makes them, and `postroom domains keys {name}`.")
    missing = [key for key in keys if key.value not in lookups.records(key.hostname, "TXT")]
    if not missing:
        return Finding(Level.GOOD, name, f"{len(keys)} DKIM keys are published")
    advice = f"Publish what `postroom domains keys {name}` prints; without it nobody can check signatures."
    return Finding(Level.WARNING, name, f"no key at {', '.join(key.hostname for key in missing)}", advice)
