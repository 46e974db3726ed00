"""Access control rules: which protocols may be used by whom from where.

Every condition of a rule must hold for it to match, and a rule without conditions always does; what it asks for and what it asks
against may stand side by side, as in "from 10.0.0.0/8 but not 10.1.0.0/16". A matching DENY beats any ALLOW, and what no rule matches
is denied; so an organization starts with one rule that allows everything, and without any rule nobody gets in.

A rule takes effect at once. At every sign-in the rules are read anew, and who has signed in before is asked again
(`sign_in.reconsider`).
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import msgspec

from postroom.directory import entities, users
from postroom.model import errors
from postroom.model.actors import Action
from postroom.storage.engine import Tx
from postroom.storage.queries import access_rules, impersonation

MAXIMUM = 10
"""Rules of one organization (WorkMail API: AccessControlRulesList)."""


class Effect(StrEnum):
    """What a rule does (WorkMail API: AccessControlRuleEffect)."""

    ALLOW = "ALLOW"
    DENY = "DENY"


class Conditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule asks for; an empty tuple asks nothing (WorkMail API: PutAccessControlRule)."""

    ip_ranges: tuple[str, ...] = ()
    not_ip_ranges: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    not_user_ids: tuple[str, ...] = ()
    impersonation_role_ids: tuple[str, ...] = ()
    not_impersonation_role_ids: tuple[str, ...] = ()


UNCONDITIONAL = Conditions()


@dataclass(frozen=True, slots=True)
class Situation:
    """Somebody about to use a protocol: a user, or an impersonation role."""

    action: Action
    address: str
    user_id: str = ""
    impersonation_role_id: str = ""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One rule; times are epoch seconds."""

    name: str
    effect: Effect
    conditions: Conditions = UNCONDITIONAL
    description: str = ""
    created_at: float = 0.0
    modified_at: float = 0.0

    def matches(self, situation: Situation) -> bool:
        """Say whether every condition holds."""
        asked = self.conditions
        return (
            _holds(situation.action.value, asked.actions, asked.not_actions)
            and _holds(situation.user_id, asked.user_ids, asked.not_user_ids)
            and _holds(situation.impersonation_role_id, asked.impersonation_role_ids, asked.not_impersonation_role_ids)
            and (not asked.ip_ranges or _inside(situation.address, asked.ip_ranges))
            and (not asked.not_ip_ranges or not _inside(situation.address, asked.not_ip_ranges))
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and the names of the rules that decided it (WorkMail API: GetAccessControlEffect)."""

    effect: Effect
    rules: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """Say whether it may be."""
        return self.effect is Effect.ALLOW


def decide(rules: Iterable[AccessRule], situation: Situation) -> Decision:
    """Deny wins over allow; what no rule matches is denied (WorkMail: access control rules)."""
    hits = [rule for rule in rules if rule.matches(situation)]
    denying = tuple(rule.name for rule in hits if rule.effect is Effect.DENY)
    if denying:
        return Decision(Effect.DENY, denying)
    return Decision(Effect.ALLOW if hits else Effect.DENY, tuple(rule.name for rule in hits))


def load(tx: Tx) -> list[AccessRule]:
    """Read an organization's rules, by name (WorkMail API: ListAccessControlRules)."""
    return [
        AccessRule(str(name), Effect(effect), _conditions(str(conditions)), str(description), created_at, modified_at)  # type: ignore[arg-type]
        for name, effect, description, conditions, created_at, modified_at in access_rules.page(tx)
    ]


def put(tx: Tx, rule: AccessRule) -> None:
    """Add a rule, or replace the one of the same name, whose time of creation stays (WorkMail API: PutAccessControlRule).

    Raises `InvalidParameter` for an unknown action, `EntityNotFound` for an unknown user, `ResourceNotFound` for an unknown
    impersonation role, `LimitExceeded`.
    """
    conditions = _checked(tx, rule.conditions)
    if access_rules.count(tx, besides=rule.name) >= MAXIMUM:
        raise errors.LimitExceeded(f"An organization may have {MAXIMUM} access control rules.")
    access_rules.insert(
        tx,
        name=rule.name,
        effect=rule.effect.value,
        description=rule.description,
        conditions=msgspec.json.encode(conditions).decode(),
        at=tx.now,
    )
    tx.changes.doubt_all()


def delete(tx: Tx, name: str) -> None:
    """Remove a rule, which need not be there (WorkMail API: DeleteAccessControlRule)."""
    if access_rules.delete(tx, name):
        tx.changes.doubt_all()


def action(name: str) -> Action:
    """Find an action by its name, in exactly this spelling; raises `InvalidParameter`."""
    try:
        return Action(name)
    except ValueError:
        raise errors.InvalidParameter(f"{name} is not an access protocol action; there are {', '.join(Action)}.") from None


def _checked(tx: Tx, asked: Conditions) -> Conditions:
    """Check what a rule asks for, and name its users by their ids, each once."""
    for name in asked.actions + asked.not_actions:
        action(name)
    for role in asked.impersonation_role_ids + asked.not_impersonation_role_ids:
        if impersonation.find(tx, role) is None:
            raise errors.ResourceNotFound(f"There is no impersonation role {role}.")
    return msgspec.structs.replace(asked, user_ids=_ids(tx, asked.user_ids), not_user_ids=_ids(tx, asked.not_user_ids))


def _ids(tx: Tx, references: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entities.get(tx, reference, users.KINDS).id for reference in references))


@lru_cache(maxsize=256)
def _conditions(text: str) -> Conditions:
    return msgspec.json.decode(text, type=Conditions)


def _holds(value: str, wanted: Sequence[str], unwanted: Sequence[str]) -> bool:
    return (not wanted or value in wanted) and value not in unwanted


def _inside(address: str, ranges: tuple[str, ...]) -> bool:
    """Say whether an address lies in one of the ranges, all of which are of version 4 (WorkMail API: IpRange)."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return False
    ip = given.ipv4_mapped if isinstance(given, ipaddress.IPv6Address) else given
    if ip is None:
        return False
    starts, ends = _spans(ranges)
    at = bisect_right(starts, int(ip)) - 1
    return at >= 0 and int(ip) <= ends[at]


@lru_cache(maxsize=256)
def _spans(ranges: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Give the first and the last addresses of what ranges cover together: a rule may name two thousand, and is asked all the time."""
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(map(_span, ranges)):
        if not ends or start > ends[-1]:
            starts.append(start)
            ends.append(end)
        elif end > ends[-1]:
            ends[-1] = end
    return starts, ends


def _span(text: str) -> tuple[int, int]:
    """Give the first and the last address of a range; what stands behind the bits that count makes no difference."""
    address, _, bits = text.partition("/")
    within = (1 << (32 - int(bits))) - 1
    start = int(ipaddress.IPv4Address(address)) & ~within
    return start, start | within
