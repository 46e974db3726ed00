"""Decides what is demanded of the encryption to each host: the operator's word before DANE, DANE before MTA-STS, that before nothing.

Where DNSSEC proves which hosts a domain has, at which addresses, their TLSA records say which certificates they show (RFC 7672 §2.2); when
nobody can say whether there are such records, somebody may be hiding them, and the host is not called. For a host without usable
records the domain's MTA-STS policy counts (RFC 8461 §2): one that it does not name is not called.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from postroom.mailflow import verdicts
from postroom.mailflow.outbound import dane, demand, sts
from postroom.mailflow.outbound.demand import Demand, Override
from postroom.mailflow.outbound.sts import Found, Policies
from postroom.mailflow.outbound.tls_outcome import Result
from postroom.mailflow.resolver import Answer, NoAnswer, Resolver
from postroom.mailflow.tlsa import Tlsa
from postroom.mailflow.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Refused:
    """A host that is not to be called, under which demand, and why."""

    verdict: Verdict
    demand: Demand
    result: Result


@dataclass(slots=True)
class Domain:
    """A domain whose hosts are to be called at a port; `proved` says whether DNSSEC proves that they are its."""

    name: str
    port: int
    proved: bool
    found: Found | None = field(default=None, init=False)
    """Its MTA-STS policy, once it has been asked for."""


class Demands:
    """Finds out what is demanded; without `policies` nothing by MTA-STS. `overrides` are the operator's, by domain."""

    def __init__(
        self, resolver: Resolver, policies: Policies | None = None, overrides: Mapping[str, Override] | None = None, ca: str = ""
    ) -> None:
        self._resolver = resolver
        self._policies = policies
        self._overrides = overrides or {}
        self._authorities = ca

    async def of(self, domain: Domain, host: str, addresses: Answer[str]) -> Demand | Refused:
        """Say what is demanded of a domain's host, or why it is not to be called."""
        override = self._overrides.get(domain.name)
        if override is not None and override != "dane-only":
            return demand.by_operator(domain.name, override, self._authorities)
        records: tuple[Tlsa, ...] = ()
        if domain.proved and addresses.authenticated:
            try:
                records = await self._tlsa(host, addresses.name, domain.port)
            except NoAnswer as error:
                return _refused(demand.by_tlsa(domain.name, (), ()), host, "dnssec-invalid", str(error))
        if usable := dane.usable(records):
            return demand.by_tlsa(domain.name, usable, (addresses.name, host, domain.name))
        if override == "dane-only":
            return _refused(demand.by_tlsa(domain.name, records, ()), host, "dane-required", "it has no TLSA records that DNSSEC proves")
        return await self._without_dane(domain, host, records)

    async def waived(self, domain: Domain, host: str, addresses: Answer[str]) -> Demand | Refused:
        """Say the same for a letter that waives what the domain demands, which what the operator demands stands above (RFC 8689 §3)."""
        return await self.of(domain, host, addresses) if domain.name in self._overrides else demand.opportunistic(domain.name)

    async def _tlsa(self, host: str, name: str, port: int) -> tuple[Tlsa, ...]:
        """Give a host's TLSA records, those at the end of its aliases before those at its own name (RFC 7672 §2.2.2)."""
        for base in dict.fromkeys((name, host)):
            answer = await self._resolver.tlsa(base, port)
            if answer.authenticated and answer.records:
                return answer.records
        return ()

    async def _without_dane(self, domain: Domain, host: str, records: tuple[Tlsa, ...]) -> Demand | Refused:
        """Let the MTA-STS policy say; records that cannot be used demand less than one that is enforced, and more than all others."""
        found = await self._policy(domain)
        mode = found.policy.mode if found.policy else "none"
        if records and mode != "enforce":
            return demand.by_unusable_tlsa(domain.name, records)
        if found.policy is None or mode == "none":
            return demand.despite_sts(domain.name, None, found.flaw, found.details) if found.flaw else demand.opportunistic(domain.name)
        if found.policy.admits(host):
            return demand.by_sts(domain.name, found.policy, self._authorities)
        remark = f"{host} is not among the hosts of the domain's MTA-STS policy"
        if mode == "enforce":
            return _refused(demand.by_sts(domain.name, found.policy, self._authorities), host, "validation-failure", remark)
        return demand.despite_sts(domain.name, found.policy, "validation-failure", remark)

    async def _policy(self, domain: Domain) -> Found:
        if domain.found is None:
            literal = domain.name.startswith("[")
            domain.found = sts.NOTHING if self._policies is None or literal else await self._policies.find(domain.name)
        return domain.found


def _refused(wanted: Demand, host: str, result: Result, details: str) -> Refused:
    return Refused(verdicts.deferred("4.7.5", f"{host}: {details}", host), wanted, result)
