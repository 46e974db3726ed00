"""Impersonation roles: whom a program may act as in EWS, and how far.

A role has rules about target users. A rule matches those in its list, or those not in its negative list, and one without
either matches everybody. A matching DENY beats any ALLOW, and what no rule matches is denied; so a role without rules may act
as nobody. What a role may do with a mailbox is what the target may do, or to read it. Rules go on naming users who are deleted:
to take a name out of a rule could make it match everybody.

WorkMail: using impersonation roles
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from postroom.directory import entities, users
from postroom.model import errors, ids
from postroom.policy.access_rules import Effect
from postroom.storage.engine import Tx
from postroom.storage.queries import impersonation

MOST_ROLES = 20
"""Roles of an organization: as many as a list of them can show (WorkMail API: ImpersonationRoleList)."""


class RoleType(StrEnum):
    """How far a role goes (WorkMail API: ImpersonationRoleType)."""

    FULL_ACCESS = "FULL_ACCESS"
    READ_ONLY = "READ_ONLY"


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule of a role; targets are ids of users (WorkMail API: ImpersonationRule)."""

    id: str
    effect: Effect
    name: str | None = None
    description: str | None = None
    targets: tuple[str, ...] = ()
    not_targets: tuple[str, ...] = ()

    def matches(self, target: str) -> bool:
        """Say whether every condition holds."""
        return (not self.targets or target in self.targets) and target not in self.not_targets


@dataclass(frozen=True, slots=True)
class Role:
    """A role; times are epoch seconds."""

    id: str
    name: str
    type: RoleType
    rules: tuple[Rule, ...]
    description: str | None
    created_at: float
    modified_at: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and the rules that decided it (WorkMail API: GetImpersonationRoleEffect)."""

    effect: Effect
    rules: tuple[Rule, ...]

    @property
    def allowed(self) -> bool:
        """Say whether the role may act as the target."""
        return self.effect is Effect.ALLOW


def decide(rules: Iterable[Rule], target: str) -> Decision:
    """Deny wins over allow; a target that no rule matches is denied."""
    hits = [rule for rule in rules if rule.matches(target)]
    denying = tuple(rule for rule in hits if rule.effect is Effect.DENY)
    if denying:
        return Decision(Effect.DENY, denying)
    return Decision(Effect.ALLOW if hits else Effect.DENY, tuple(hits))


def try_out(tx: Tx, id: str, target: str) -> tuple[Role, Decision]:
    """Say what a role may do to a user.

    Raises `ResourceNotFound` for the role, `EntityNotFound` and `EntityState` for the user (WorkMail API: GetImpersonationRoleEffect).
    """
    role = get(tx, id)
    return role, decide(role.rules, _target(tx, target))


def create(tx: Tx, *, name: str, type: RoleType, rules: Sequence[Rule], description: str | None = None) -> str:
    """Add a role; gives its id.

    Raises `LimitExceeded`, `InvalidParameter` for rules of one id, `EntityNotFound` and `EntityState` for targets
    (WorkMail API: CreateImpersonationRole).
    """
    if impersonation.count(tx) >= MOST_ROLES:
        raise errors.LimitExceeded(f"An organization may have {MOST_ROLES} impersonation roles.")
    id = ids.new_impersonation_role_id()
    impersonation.insert(tx, id, name=name, type=type.value, description=description, rules=_checked(tx, rules))
    return id


def update(tx: Tx, id: str, *, name: str, type: RoleType, rules: Sequence[Rule], description: str | None = None) -> None:
    """Replace a role, all of it, which binds its tokens at once.

    Raises as `create` does, and `ResourceNotFound` (WorkMail API: UpdateImpersonationRole).
    """
    get(tx, id)
    impersonation.update(tx, id, name=name, type=type.value, description=description, rules=_checked(tx, rules))


def delete(tx: Tx, id: str) -> None:
    """Remove a role, which need not be there, and its tokens (WorkMail API: DeleteImpersonationRole)."""
    impersonation.delete(tx, id)


def get(tx: Tx, id: str) -> Role:
    """Get a role; raises `ResourceNotFound` (WorkMail API: GetImpersonationRole)."""
    row = impersonation.find(tx, id)
    if row is None:
        raise errors.ResourceNotFound(f"There is no impersonation role {id}.")
    return role_of(row)


def exists(tx: Tx, id: str) -> bool:
    """Say whether there is a role of this id."""
    return impersonation.find(tx, id) is not None


def page(tx: Tx, *, after: str, limit: int) -> list[Role]:
    """List roles behind an id, in order of id (WorkMail API: ListImpersonationRoles)."""
    return [role_of(row) for row in impersonation.page(tx, after=after, limit=limit)]


def role_of(row: tuple[Any, ...]) -> Role:
    """Read a row of `queries.impersonation`."""
    id, name, type, rules, description, created_at, modified_at = row
    return Role(id, name, RoleType(type), _rules(rules), description, created_at, modified_at)


@lru_cache(maxsize=256)
def _rules(text: str) -> tuple[Rule, ...]:
    return msgspec.json.decode(text, type=tuple[Rule, ...])


def _checked(tx: Tx, rules: Sequence[Rule]) -> str:
    """Write rules down, with targets named by their ids, each once."""
    if len({rule.id for rule in rules}) < len(rules):
        raise errors.InvalidParameter("Two rules of a role have the same id.")
    known = [
        msgspec.structs.replace(
            rule,
            targets=_targets(tx, rule.targets),
            not_targets=_targets(tx, rule.not_targets),
        )
        for rule in rules
    ]
    return msgspec.json.encode(known).decode()


def _targets(tx: Tx, references: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_target(tx, user) for user in references))


def _target(tx: Tx, user: str) -> str:
    found = entities.get(tx, user, users.KINDS)
    entities.require_enabled(found)
    return found.id
