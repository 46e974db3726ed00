"""DMARC: whether the domain that a reader sees in From is the one that SPF or DKIM speak for, and what it asks if not (RFC 7489 §6).

Which part of a name is an organization's own is looked up in the Public Suffix List, or found out by walking up the tree of DNS, as the
successor of RFC 7489 does it (`walk`). Of several domains in From the one with the worst outcome counts.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from postroom.formats import dkim, headers
from postroom.mailflow.assessment import Arc, Dmarc, Policy, Result, Signature, Spf
from postroom.mailflow.authentication.questions import Check, Query
from postroom.mailflow.resolver import NoAnswer, NoSuchName
from postroom.model.addresses import domain_key
from postroom.model.errors import InvalidParameter

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

MAX_DOMAINS = 4
"""Domains of a From line that are looked at."""
MAX_STEPS = 8
"""Questions of a walk up the tree."""
MAX_REPORTS = 10
UNSEALED = Arc()
_ORDER = {Policy.NONE: 0, Policy.QUARANTINE: 1, Policy.REJECT: 2}
_MILDER = {Policy.NONE: Policy.NONE, Policy.QUARANTINE: Policy.NONE, Policy.REJECT: Policy.QUARANTINE}


@dataclass(frozen=True, slots=True)
class Record:
    """A policy record and where it stands."""

    domain: str
    text: str
    policy: Policy
    subdomains: Policy
    absent: Policy
    strict_dkim: bool
    strict_spf: bool
    percent: int
    testing: bool
    suffix: str
    reports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a letter by now: its From domains, SPF, DKIM and ARC, and something in which it differs from others."""

    domains: tuple[str, ...]
    spf: Spf
    dkim: tuple[Signature, ...]
    arc: Arc = UNSEALED
    seed: bytes = b""


def check(evidence: Evidence, *, walk: bool = False, sealers: frozenset[str] = frozenset()) -> Check[Dmarc]:
    """Check a letter; whoever is in `sealers` is believed about a letter that it has passed on."""
    worst: Dmarc | None = None
    for domain in evidence.domains[:MAX_DOMAINS]:
        found = yield from _check(evidence, domain, walk=walk, sealers=sealers)
        if worst is None or _badness(found) > _badness(worst):
            worst = found
    return worst or Dmarc()


def author_domains(raw: bytes) -> tuple[str, ...]:
    """List the domains in a From line, each once, as DNS has them."""
    found: dict[str, None] = {}
    for value in headers.find_all(raw, "From")[:2]:
        for address in headers.addresses(value[:65_536])[:100]:
            name = _key(address.rpartition("@")[2])
            if name:
                found[name] = None
    return tuple(found)


def parse(domain: str, texts: Iterable[str]) -> Record | None:
    """Read the one policy record among texts; None when there is none, or more than one (RFC 7489 §6.3, §6.6.3)."""
    found = [text for text in texts if re.match(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)", text)]
    if len(found) != 1:
        return None
    try:
        tags = {name.lower(): value for name, value in dkim.tags(found[0].encode()).items()}
    except ValueError:
        return None
    reports = tuple(_reports(tags.get("rua", "")))
    policy = _policy(tags.get("p"))
    if policy is None:
        if not reports:
            return None
        policy = Policy.NONE  # who wants reports has a policy, even one that cannot be read
    subdomains = _policy(tags.get("sp")) or policy
    percent = tags.get("pct", "100")
    return Record(
        domain=domain,
        text=found[0][:1000],
        policy=policy,
        subdomains=subdomains,
        absent=_policy(tags.get("np")) or subdomains,
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        strict_spf=tags.get("aspf", "r").lower() == "s",
        percent=int(percent) if re.fullmatch(r"[0-9]{1,3}", percent, re.ASCII) and int(percent) <= 100 else 100,
        testing=tags.get("t", "n").lower() == "y",
        suffix=tags.get("psd", "u").lower(),
        reports=reports,
    )


def organizational(domain: str) -> str:
    """Give the domain that belongs to an organization, by the Public Suffix List (RFC 7489 §3.2)."""
    return _suffixes().privatesuffix(domain) or domain


def _check(evidence: Evidence, domain: str, *, walk: bool, sealers: frozenset[str]) -> Check[Dmarc]:
    try:
        record = yield from (_walk_to_policy(domain) if walk else _find_policy(domain))
        if record is None:
            return Dmarc(Result.NONE, domain)
        spf_domain = evidence.spf.domain if evidence.spf.result is Result.PASS else ""
        by_spf = bool(spf_domain) and (yield from _aligned(spf_domain, domain, strict=record.strict_spf, walk=walk))
        by_dkim = False
        for signature in evidence.dkim:
            if signature.result is Result.PASS and not by_dkim:
                by_dkim = yield from _aligned(signature.domain, domain, strict=record.strict_dkim, walk=walk)
        asked = record.policy if record.domain == domain else record.subdomains
        if walk and record.domain != domain and record.absent is not asked and not (yield from _exists(domain)):
            asked = record.absent
    except NoAnswer:
        return Dmarc(Result.TEMPERROR, domain, reason="DNS does not answer")
    result = Dmarc(
        Result.PASS if by_spf or by_dkim else Result.FAIL,
        domain,
        record.domain,
        asked,
        Policy.NONE if by_spf or by_dkim else _in_force(asked, record, evidence.seed, walk=walk),
        by_spf,
        by_dkim,
        record.text,
        record.reports,
    )
    return result if result.result is Result.PASS else _excused(result, evidence, sealers)


def _excused(result: Dmarc, evidence: Evidence, sealers: frozenset[str]) -> Dmarc:
    """Let a letter off that somebody trusted has sealed as it was before a change (RFC 8617 §7.2.1), or that cannot be judged now."""
    if evidence.arc.result is Result.PASS and evidence.arc.sealer in sealers:
        return replace(result, policy=Policy.NONE, reason=f"passed on by {evidence.arc.sealer}")
    uncertain = [signature for signature in evidence.dkim if signature.result is Result.TEMPERROR]
    if evidence.spf.result is Result.TEMPERROR or uncertain:
        return replace(result, result=Result.TEMPERROR, policy=Policy.NONE, reason="SPF or DKIM could not be asked for")
    return result


def _in_force(asked: Policy, record: Record, seed: bytes, *, walk: bool) -> Policy:
    """Say what is to be done: `pct` lets the others off one step, and so does `t=y`; which they are is decided by the letter itself."""
    if walk:
        return _MILDER[asked] if record.testing else asked
    share = int.from_bytes(hashlib.sha256(seed).digest()[:4]) % 100
    return asked if share < record.percent else _MILDER[asked]


def _badness(found: Dmarc) -> tuple[int, int]:
    return (_ORDER[found.policy], {Result.PASS: 0, Result.NONE: 1, Result.TEMPERROR: 2}.get(found.result, 3))


def _aligned(one: str, author: str, *, strict: bool, walk: bool) -> Check[bool]:
    one = _key(one)
    if one == author:
        return True
    if strict or not one:
        return False
    if walk:
        return (yield from _walk_to_organization(one)) == (yield from _walk_to_organization(author))
    return organizational(one) == organizational(author)


def _find_policy(domain: str) -> Check[Record | None]:
    """Look at the domain, then at its organization's (RFC 7489 §6.6.3)."""
    record = yield from _record(domain)
    own = organizational(domain)
    if record is None and own != domain:
        record = yield from _record(own)
    return record


def _record(domain: str) -> Check[Record | None]:
    try:
        texts = yield Query("TXT", f"_dmarc.{domain}")
    except NoSuchName:
        return None
    return parse(domain, texts)


def _exists(domain: str) -> Check[bool]:
    """Say whether a name has an address or an exchange (RFC 9091 §2.6)."""
    for kind in ("A", "AAAA", "MX"):
        try:
            if (yield Query(kind, domain)):
                return True
        except NoSuchName:
            return False
    return False


# The walk up the tree


def _steps(domain: str) -> list[str]:
    """List the names a walk looks at: the domain, then those above it, of very long ones only the last seven labels."""
    labels = domain.split(".")
    names = [domain]
    first = 1 if len(labels) <= MAX_STEPS else len(labels) - MAX_STEPS + 1
    names += [".".join(labels[at:]) for at in range(first, len(labels))]
    return names[:MAX_STEPS]


def _walk(domain: str) -> Check[list[Record]]:
    """Collect the records from a domain upwards, to the one that says where the organization ends."""
    found: list[Record] = []
    for name in _steps(domain):
        record = yield from _record(name)
        if record is not None:
            found.append(record)
            if record.suffix == "n" or (record.suffix == "y" and name != domain):
                break
    return found


def _walk_to_policy(domain: str) -> Check[Record | None]:
    records = yield from _walk(domain)
    if records and records[0].domain == domain:
        return records[0]
    own = _organization(domain, records)
    return next((record for record in records if record.domain == own), records[-1] if records else None)


def _walk_to_organization(domain: str) -> Check[str]:
    return _organization(domain, (yield from _walk(domain)))


def _organization(domain: str, records: Sequence[Record]) -> str:
    for record in records:
        if record.suffix == "n":
            return record.domain
        if record.suffix == "y" and record.domain != domain:
            above = record.domain.count(".") + 1
            return ".".join(domain.split(".")[-above - 1 :])
    return min((record.domain for record in records), key=lambda name: name.count("."), default=domain)


# Values


def _policy(text: str | None) -> Policy | None:
    try:
        return Policy((text or "").lower())
    except ValueError:
        return None


def _reports(text: str) -> list[str]:
    """List where aggregate reports are wanted: mailto addresses, with the largest size behind `!` left on."""
    addresses = [address.strip() for address in text.split(",")]
    return [address for address in addresses if address.lower().startswith("mailto:")][:MAX_REPORTS]


def _key(domain: str) -> str:
    try:
        return domain_key(domain)
    except InvalidParameter:
        return ""


@lru_cache(maxsize=1)
def _suffixes() -> "PublicSuffixList":
    """Load the list when it is asked for first: it takes a tenth of a second."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
