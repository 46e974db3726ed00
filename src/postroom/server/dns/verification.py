"""Verification of mail domains: DNS is asked until it shows that a domain belongs to the one who registered it.

The TXT record at `_amazonses.DOMAIN` proves the owner, the DKIM CNAMEs are noted beside it. What is not there within 72 hours has
failed; a domain that has not proved its owner by then may be claimed by others. Registering it again starts over (WorkMail
administration: verifying domains). Look-ups come first, transactions after.
"""

import itertools
import random
import time

import structlog

from postroom.directory import domains
from postroom.directory.domains import FAILED, PENDING, VERIFIED, Targets
from postroom.model.entities import MailDomain
from postroom.server.dns import mail_records
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import domains as rows

PATIENCE_SECONDS = 72 * 3600
SHARE_SECONDS = 30.0
"""How long one organization's domains are asked about before it is another's turn."""

log = structlog.get_logger("postroom.server")


def verify(store: Store, scope: int, lookups: Lookups, targets: Targets, *, seconds: float = SHARE_SECONDS) -> int:
    """Ask DNS about the domains that are not verified in full, for so many seconds and in any order; give how many changed.

    So name servers that do not answer keep neither other organizations waiting nor always the same domains.
    """
    with store.transaction(scope, write=False) as tx:
        waiting = rows.pending(tx)
    random.shuffle(waiting)
    end = time.monotonic() + seconds
    in_time = itertools.takewhile(lambda _: time.monotonic() < end, waiting)
    return sum(_quietly(store, scope, domain, lookups, targets) for domain in in_time)


def _quietly(store: Store, scope: int, domain: MailDomain, lookups: Lookups, targets: Targets) -> bool:
    try:
        return settle(store, scope, domain, lookups, targets)
    except NoAnswer as error:
        log.info("domain_not_looked_up", domain=domain.domain, reason=str(error))
        return False


def settle(store: Store, scope: int, domain: MailDomain, lookups: Lookups, targets: Targets) -> bool:
    """Note what DNS says of one domain and say whether that is news; raises NoAnswer.

    In the registry first, since only a domain still pending is looked at again after a crash. One that the organization has lost its claim
    of has failed, whatever DNS says; one that was changed while DNS was asked is left for the next time.
    """
    ownership, dkim = state(domain, lookups, targets)
    if store.now() - domain.registered_at > PATIENCE_SECONDS:
        ownership, dkim = (FAILED if status == PENDING else status for status in (ownership, dkim))
    if (ownership, dkim) == (domain.ownership, domain.dkim):
        return False
    if not _is_still(store, scope, domain):
        return False
    with store.transaction(REGISTRY) as tx:
        if ownership == VERIFIED and not domains.set_routed(tx, domain.domain, scope):
            ownership = FAILED
        if ownership == FAILED:
            domains.release(tx, domain.domain, scope)
    with store.transaction(scope) as tx:
        if rows.find(tx, domain.domain) != domain:
            return False
        domains.set_verification(tx, domain.domain, ownership=ownership, dkim=dkim)
    log.info("domain_verification", domain=domain.domain, ownership=ownership, dkim=dkim)
    return True


def _is_still(store: Store, scope: int, domain: MailDomain) -> bool:
    """Say whether a domain is as it was read: not given up, nor registered anew."""
    with store.transaction(scope, write=False) as tx:
        return rows.find(tx, domain.domain) == domain


def state(domain: MailDomain, lookups: Lookups, targets: Targets) -> tuple[str, str]:
    """Give (ownership, dkim) as DNS shows them now, each VERIFIED or as it was; raises NoAnswer."""
    ownership, dkim = domain.ownership, domain.dkim
    if ownership == PENDING and mail_records.ownership(domain, targets).look(lookups).right:
        ownership = VERIFIED
    selectors = mail_records.dkim(domain, targets)
    if dkim == PENDING and selectors and all(selector.look(lookups).right for selector in selectors):
        dkim = VERIFIED
    return ownership, dkim
