"""Mail domains (WorkMail API: RegisterMailDomain to UpdateDefaultMailDomain).

A domain is claimed in the registry before the organization has it, and given up after the organization has let it go.
"""

from postroom.api import paging
from postroom.api.operation import Answer, Call, operation
from postroom.directory import domains
from postroom.storage.queries import domains as domain_rows
from postroom.storage.queries import organizations


def claim(call: Call) -> bool:
    """Claim the domain for the organization; say whether the claim is new."""
    domain, number, policy = call.params["DomainName"], call.organization.number, call.mail_domains
    new = domains.claim(call.tx, domain, number, verified=policy.trust, test_suffix=policy.test_suffix)
    if policy.trust:
        domains.set_routed(call.tx, domain, number)
    return new


def unclaim_new(call: Call) -> None:
    """Give up a claim that the organization could not use."""
    if call.prior:
        unclaim(call)


def unclaim(call: Call) -> None:
    """Give the claim up."""
    domains.release(call.tx, call.params["DomainName"], call.organization.number)


def make_default(call: Call) -> None:
    """Note the default domain with the organization."""
    organizations.set_default_domain(call.tx, call.organization.number, domains.host_name(call.params["DomainName"]))


@operation("RegisterMailDomain", before=claim, undo=unclaim_new)
def register_mail_domain(call: Call) -> Answer:
    """Add a mail domain."""
    domains.register(call.tx, call.params["DomainName"], verified=call.mail_domains.trust)
    return {}


@operation("DeregisterMailDomain", after=unclaim)
def deregister_mail_domain(call: Call) -> Answer:
    """Remove a mail domain that no address uses."""
    domains.deregister(call.tx, call.params["DomainName"], default_domain=call.organization.default_domain)
    return {}


@operation("GetMailDomain")
def get_mail_domain(call: Call) -> Answer:
    """Show a mail domain with the DNS records it needs."""
    domain = domains.get(call.tx, call.params["DomainName"])
    return {
        "Records": [
            {"Type": record.type, "Hostname": record.hostname, "Value": record.value}
            for record in domains.records(domain, call.mail_domains.targets)
        ],
        "IsTestDomain": domain.test,
        "IsDefault": domain.domain == call.organization.default_domain,
        "OwnershipVerificationStatus": domain.ownership,
        "DkimVerificationStatus": domain.dkim,
    }


@operation("ListMailDomains")
def list_mail_domains(call: Call) -> Answer:
    """List mail domains by name."""
    after = call.page.after[0] if call.page.after else ""
    rows = domain_rows.page(call.tx, after=after, limit=call.page.fetch)
    default = call.organization.default_domain
    return paging.answer(
        call.page,
        "MailDomains",
        rows,
        key=lambda name: (name,),
        render=lambda name: {"DomainName": name, "DefaultDomain": name == default},
    )


@operation("UpdateDefaultMailDomain", after=make_default)
def update_default_mail_domain(call: Call) -> Answer:
    """Choose the domain that is suggested for new addresses."""
    domains.require_verified(call.tx, call.params["DomainName"])
    return {}
