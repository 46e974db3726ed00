"""Mail domains: claimed in the registry, so that no two organizations have the same, and described in the organization.

The administrator publishes the records of `records`; once DNS shows them, the domain is verified and mail is routed
to it. The host names of the records are those that scripts written for WorkMail look for; the targets are ours.
"""

import base64
import secrets
from dataclasses import dataclass

from postroom.model import errors
from postroom.model.addresses import domain_key
from postroom.model.entities import MailDomain
from postroom.storage.engine import Tx
from postroom.storage.queries import addresses, dkim_keys, domains, organizations, zone_writes

TOPIC = "domains"
"""Wakes the work on mail domains: keys, look-ups, hosted zones."""
PENDING = "PENDING"
VERIFIED = "VERIFIED"
FAILED = "FAILED"
STATUSES = frozenset({PENDING, VERIFIED, FAILED})
MAX_DOMAINS = 1000
TEXT_OCTETS = 255
"""What one string of a TXT record holds."""
_NAMING = frozenset({"CNAME", "MX", "PTR", "SRV"})
"""Records that end with a name."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The names that a mail domain's DNS records point at."""

    mail_host: str = "mail.postroom.test"
    autodiscover_host: str = "autodiscover.postroom.test"
    spf_include: str = "_spf.postroom.test"
    dkim_domain: str = "dkim.postroom.test"


@dataclass(frozen=True, slots=True)
class Record:
    """A DNS record in presentation form."""

    type: str
    hostname: str
    value: str

    @property
    def line(self) -> str:
        """Write it as a zone file has it, long texts in several strings (RFC 1035 §3.3, §5.1)."""
        if self.type != "TXT":
            return f"{self.hostname}. {self.type} {self.value}{'.' if self.type in _NAMING else ''}"
        pieces = [self.value[at : at + TEXT_OCTETS] for at in range(0, len(self.value), TEXT_OCTETS)]
        return f"{self.hostname}. TXT " + " ".join(f'"{piece}"' for piece in pieces)


def records(domain: MailDomain, targets: Targets) -> list[Record]:
    """List what the administrator has to publish, in the order that scripts rely on (WorkMail API: GetMailDomain).

    The first TXT proves ownership, the first CNAME is autodiscover's.
    """
    name = domain.domain
    keys = [Record("CNAME", f"{token}._domainkey.{name}", f"{token}.{targets.dkim_domain}") for token in domain.dkim_tokens]
    return [
        Record("TXT", f"_amazonses.{name}", domain.ownership_token),
        Record("MX", name, f"10 {targets.mail_host}"),
        Record("CNAME", f"autodiscover.{name}", targets.autodiscover_host),
        *keys,
        Record("TXT", name, f"v=spf1 include:{targets.spf_include} ~all"),
        Record("TXT", f"_dmarc.{name}", "v=DMARC1;p=quarantine;pct=100;fo=1"),
    ]


# In the registry


def claim(
    tx: Tx, name: str, organization: int, *, verified: bool = False, test_suffix: str = "", zone: str | None = None
) -> bool:
    """Claim a domain for an organization; False if it had it already, `DomainInUse` if another has it. Registry.

    Nobody gets a domain under `test_suffix`: those are made with organizations, each for its own. `zone` is the hosted zone that
    its records are to be written into.
    """
    domain = host_name(name)
    if organizations.find_claim(tx, domain) == organization:
        return False
    if test_suffix and f".{domain}".endswith(f".{test_suffix}"):
        raise errors.DomainInUse(f"Domains under {test_suffix} are test domains.")
    if not organizations.insert_claim(tx, domain, organization, verified=verified, zone=zone):
        raise errors.DomainInUse(f"The domain {domain} is already in use.")
    return True


def release(tx: Tx, name: str, organization: int) -> None:
    """Give a claim up, if it is this organization's. Registry."""
    organizations.delete_claim(tx, domain_key(name), organization)


def set_routed(tx: Tx, name: str, organization: int, *, routed: bool = True) -> bool:
    """Let mail and sign-ins for a domain come to the organization, or keep them away; False when the claim is not its own. Registry."""
    return bool(organizations.verify_claim(tx, domain_key(name), organization, verified=routed))


def route(tx: Tx, name: str) -> int | None:
    """Find the scope of the organization that hosts a mail domain; None for what is no domain. Registry."""
    try:
        return organizations.find_route(tx, domain_key(name))
    except errors.InvalidParameter:
        return None


# In the organization


def register(tx: Tx, name: str, *, verified: bool = False, zone: str | None = None) -> MailDomain:
    """Add a domain, pending unless `verified` (WorkMail API: RegisterMailDomain).

    One that is there stays as it is, but what has failed of it begins anew, and DNS is asked at once. With `zone`, the id of a hosted
    zone, the records are written there.
    """
    domain = host_name(name)
    tx.changes.wake(TOPIC)
    if zone:
        zone_writes.insert(tx, domain, zone)
    found = domains.find(tx, domain)
    if found is None and domains.count(tx) >= MAX_DOMAINS:
        raise errors.LimitExceeded(f"An organization may have {MAX_DOMAINS} mail domains.")
    if found is None:
        return _insert(tx, domain, test=False, verified=verified)
    if verified and found.ownership != VERIFIED:
        set_verification(tx, domain)
    elif FAILED in (found.ownership, found.dkim):
        domains.restart(tx, domain)
    return get(tx, domain)


def create_test_domain(tx: Tx, name: str) -> MailDomain:
    """Add the domain an organization starts with, verified at once."""
    tx.changes.wake(TOPIC)
    return _insert(tx, host_name(name), test=True, verified=True)


def get(tx: Tx, name: str) -> MailDomain:
    """Get a domain; raises `DomainNotFound` (WorkMail API: GetMailDomain)."""
    found = domains.find(tx, domain_key(name))
    if found is None:
        raise errors.DomainNotFound(f"The organization has no mail domain {name}.")
    return found


def require_verified(tx: Tx, name: str) -> MailDomain:
    """Get a domain that takes mail; raises `DomainNotFound`, `DomainState`."""
    domain = get(tx, name)
    if domain.ownership != VERIFIED:
        raise errors.DomainState(f"The mail domain {name} is not verified.")
    return domain


def deregister(tx: Tx, name: str, *, default_domain: str) -> None:
    """Remove a domain, which need not be there; raises `DomainInUse` while an address is in it (WorkMail API: DeregisterMailDomain)."""
    domain = domains.find(tx, domain_key(name))
    if domain is None:
        return
    if domain.test:
        raise errors.InvalidParameter(f"{name} is the organization's test domain and stays.")
    if domain.domain == domain_key(default_domain):
        raise errors.InvalidParameter(f"{name} is the default mail domain; choose another first.")
    if addresses.domain_used(tx, domain.domain):
        raise errors.DomainInUse(f"The mail domain {name} is in use by an address.")
    dkim_keys.delete_all(tx, domain.domain)
    zone_writes.delete(tx, domain.domain)
    domains.delete(tx, domain.domain)


def set_verification(tx: Tx, name: str, *, ownership: str = VERIFIED, dkim: str = VERIFIED) -> None:
    """Note what DNS was found to say. `set_routed` in the registry goes with it."""
    if not {ownership, dkim} <= STATUSES:
        raise ValueError(f"no such status: {ownership}, {dkim}")
    domain = get(tx, name)
    verified_at = (domain.verified_at or tx.now) if ownership == VERIFIED else None
    domains.update_status(tx, domain.domain, ownership=ownership, dkim=dkim, verified_at=verified_at)


def host_name(name: str) -> str:
    """Give the A-label form of a name that can be a mail domain; raises `InvalidParameter` (RFC 1123 §2.1)."""
    domain = domain_key(name)
    if "." not in domain or domain.rpartition(".")[2].isdigit() or "_" in domain:
        raise errors.InvalidParameter(f"{name} cannot be a mail domain.")
    return domain


def _insert(tx: Tx, domain: str, *, test: bool, verified: bool) -> MailDomain:
    status = VERIFIED if verified else PENDING
    token = base64.b64encode(secrets.token_bytes(32)).decode()
    dkim_tokens = tuple(base64.b32encode(secrets.token_bytes(20)).decode().lower() for _ in range(3))
    new = MailDomain(domain, test, status, status, token, dkim_tokens, tx.now, tx.now if verified else None)
    domains.insert(tx, new)
    return new
