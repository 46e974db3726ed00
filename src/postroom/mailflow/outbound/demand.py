"""What is demanded of the encryption to a host, and by whom.

Steps are tried in turn, each over a connection of its own where the one before failed, so what a demand does not list
never happens: a host that must be authenticated is not called in plain. How the first step came out is what reports
count.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from postroom.formats.sts_policy import StsPolicy
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outbound.tls_outcome import Policy, Result
from postroom.mailflow.tlsa import Tlsa

Step = Literal["none", "offered", "encrypted", "dane", "pkix", "implicit"]
"""In plain; TLS where it is offered, or always, with any certificate; by TLSA records; by authorities, after STARTTLS or from the start."""

Override = Literal["none", "offered", "encrypted", "verified", "dane-only"]
"""What an operator may say about mail to a domain."""
_ANYHOW: tuple[Step, ...] = ("offered", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """`flaw` and `remark` are what is wrong with the policy itself; `names` are those a certificate may bear under an authority of TLSA."""

    steps: tuple[Step, ...]
    policy: Policy = "no-policy-found"
    domain: str = ""
    text: tuple[str, ...] = ()
    flaw: Result = ""
    remark: str = ""
    records: tuple[Tlsa, ...] = ()
    names: tuple[str, ...] = ()
    authorities: str = ""

    @property
    def by(self) -> str:
        """Say by what a certificate is verified, for the log."""
        return {"tlsa": "dane", "sts": "mta-sts"}.get(self.policy, "pkix")


def opportunistic(domain: str) -> Demand:
    """Take TLS where it works, with any certificate."""
    return Demand(steps=_ANYHOW, domain=domain)


def by_tlsa(domain: str, records: Iterable[Tlsa], names: Iterable[str]) -> Demand:
    """Demand a certificate that usable TLSA records name (RFC 7672 §2.2)."""
    held = tuple(records)
    return Demand(steps=("dane",), policy="tlsa", domain=domain, text=tuple(map(str, held)), records=held, names=tuple(names))


def by_unusable_tlsa(domain: str, records: Iterable[Tlsa]) -> Demand:
    """Demand encryption by anyone, of a host whose TLSA records cannot be used (RFC 7672 §2.2)."""
    return Demand(steps=("encrypted",), policy="tlsa", domain=domain, text=tuple(map(str, records)), flaw="tlsa-invalid")


def by_sts(domain: str, policy: StsPolicy, authorities: str) -> Demand:
    """Demand a valid certificate for the host's name, or under a policy that is being tested find out about it (RFC 8461 §5)."""
    steps: tuple[Step, ...] = ("pkix",) if policy.mode == "enforce" else ("pkix", *_ANYHOW)
    return Demand(steps=steps, policy="sts", domain=domain, text=policy.lines, authorities=authorities)


def despite_sts(domain: str, policy: StsPolicy | None, flaw: Result, remark: str) -> Demand:
    """Demand nothing where a policy cannot be had, or is being tested and does not name the host; reports count it."""
    return Demand(steps=_ANYHOW, policy="sts", domain=domain, text=policy.lines if policy else (), flaw=flaw, remark=remark)


def by_operator(domain: str, override: Override, authorities: str) -> Demand:
    """Demand what the operator wants for a domain, whatever it wants itself."""
    ways: dict[Override, tuple[Step, ...]] = {"none": ("none",), "offered": _ANYHOW, "encrypted": ("encrypted",), "verified": ("pkix",)}
    return Demand(steps=ways[override], domain=domain, authorities=authorities)


def of_smarthost(settings: Settings) -> Demand:
    """Demand what the operator wants of the smarthost."""
    ways: dict[str, tuple[Step, ...]] = {"opportunistic": _ANYHOW, "required": ("pkix",), "implicit": ("implicit",), "none": ("none",)}
    return Demand(steps=ways[settings.smarthost_tls], authorities=settings.smarthost_ca)
