"""Counts what strangers' letters come to by DMARC, in the transaction that takes or refuses them.

Letters that are alike are one kind and cost one update. Kinds and domains of a day are bounded, as strangers choose them; what is beyond
that is not counted. Reports that a domain itself sends are not, so that two servers do not report about each other's reports for ever.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from postroom.formats.dmarc_report import MAX_TEXT, DkimResult, Row
from postroom.formats.message import Letterhead
from postroom.mailflow import disposition
from postroom.mailflow.assessment import Assessment, Authentication, Dmarc, Policy, Result
from postroom.mailflow.envelopes import Envelope
from postroom.policy import dmarc
from postroom.storage.engine import Tx
from postroom.storage.queries import dmarc_counts

DAY = 86_400
MAX_KINDS = 5_000
"""Kinds of letters of a domain and day."""
MAX_DOMAINS = 5_000
"""Domains of a day."""
MAX_SIGNATURES = 10
"""Signatures of a kind that are told of."""
_REPORT = re.compile(r"Report Domain:\s*\S+\s+Submitter:\s*\S")


def note(tx: Tx, envelope: Envelope, head: Letterhead, assessment: Assessment) -> None:
    """Count a letter, if its domain wants to hear of it."""
    known = assessment.authentication
    if known is None or not known.dmarc.reports or not known.dmarc.record or _is_report(head, known.dmarc):
        return
    enforced = disposition.asked(assessment) is not Policy.NONE and dmarc.dmarc_enforced(tx)
    facts = msgspec.json.encode(describe(known, envelope.sender, enforced=enforced))
    digest = hashlib.sha256(facts).hexdigest()[:32]
    day, domain = int(tx.now // DAY), known.dmarc.policy_domain
    if not dmarc_counts.add(tx, day, domain, digest) and _make_room(tx, day, domain, known.dmarc):
        dmarc_counts.insert(tx, day, domain, digest=digest, facts=facts.decode())


def rows(tx: Tx, day: int, domain: str) -> tuple[Row, ...]:
    """Give what was counted of a domain's day."""
    found = dmarc_counts.rows(tx, day, domain, MAX_KINDS)
    return tuple(replace(msgspec.json.decode(facts, type=Row), count=count) for facts, count in found)


def describe(known: Authentication, sender: str, *, enforced: bool) -> Row:
    """Say what a report says of a letter; `enforced` that what its domain asks for was done."""
    policy, spf = known.dmarc, known.spf
    applied = policy.policy if enforced else Policy.NONE
    reason, comment = _reason(policy, enforced=enforced)
    return Row(
        source=_address(known.address),
        count=1,
        disposition=applied.value,
        dkim="pass" if policy.dkim_aligned else "fail",
        spf="pass" if policy.spf_aligned else "fail",
        header_from=policy.domain,
        envelope_from=sender.rpartition("@")[2].lower()[:MAX_TEXT],
        reason=reason,
        comment=comment[:MAX_TEXT],
        signatures=tuple(_signatures(known)),
        spf_domain=spf.domain.lower()[:MAX_TEXT],
        spf_scope="helo" if spf.scope == "helo" else "mfrom",
        spf_result=spf.result.value,
    )


def _reason(found: Dmarc, *, enforced: bool) -> tuple[str, str]:
    """Say why what was done is not what the domain asks for, and in which words; ('', '') where it is."""
    if found.result is Result.PASS or found.published is Policy.NONE:
        return "", ""
    if found.result is Result.TEMPERROR:
        return "other", found.reason
    if found.reason:  # somebody trusted has sealed it
        return "trusted_forwarder", found.reason
    if found.policy is not Policy.NONE and not enforced:
        return "local_policy", "the organization does not act on DMARC"
    return ("sampled_out", "") if found.policy is not found.published else ("", "")


def _signatures(known: Authentication) -> Iterator[DkimResult]:
    """Tell of each signature once."""
    found = [(one.domain.lower()[:MAX_TEXT], one.selector[:MAX_TEXT], one.result.value) for one in known.dkim if one.domain]
    for domain, selector, result in list(dict.fromkeys(found))[:MAX_SIGNATURES]:
        yield DkimResult(domain, selector, result)


def _make_room(tx: Tx, day: int, domain: str, found: Dmarc) -> bool:
    if not dmarc_counts.has_domain(tx, day, domain) and dmarc_counts.count_domains(tx, day) >= MAX_DOMAINS:
        return False
    addresses = "\n".join(address for address in found.reports if len(address) <= MAX_TEXT and "\n" not in address)
    return dmarc_counts.take_room(tx, day, domain, record=found.record, addresses=addresses, most=MAX_KINDS)


def _is_report(head: Letterhead, found: Dmarc) -> bool:
    """Say whether a letter is a report of the domain itself: nobody else can keep theirs out of the count by its subject."""
    return found.result is Result.PASS and _REPORT.match(head.subject) is not None


def _address(text: str) -> str:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "0.0.0.0"  # noqa: S104  an address that is none, which a report cannot have
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(parsed)
