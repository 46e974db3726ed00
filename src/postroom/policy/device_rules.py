"""Mobile device access rules: which devices may synchronize, by what they say of themselves.

A device has four properties, any of which may be empty. A value in a rule matches a property that begins with it, in any case; `$NONE`
in a positive list matches an empty property, and a negative list never does. Every condition of a rule must hold for it to match, and a
rule without conditions always does. A matching DENY beats any ALLOW, and what no rule matches is denied; so an organization starts with one
rule that allows every device. What is overridden for one device of one user is final, either way.

WorkMail: managing mobile device access rules
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from postroom.model import errors, ids
from postroom.policy import device_overrides
from postroom.policy.access_rules import Effect
from postroom.storage.engine import Tx
from postroom.storage.queries import device_rules

NONE = "$NONE"
"""What stands in a positive list for an empty property."""
MOST_RULES = 10
"""Rules of an organization: as many as a list of them can show (WorkMail API: MobileDeviceAccessRulesList)."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a device says of itself; empty where it says nothing."""

    type: str = ""
    model: str = ""
    operating_system: str = ""
    user_agent: str = ""


class Conditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule asks for; an empty tuple asks nothing (WorkMail API: CreateMobileDeviceAccessRule)."""

    types: tuple[str, ...] = ()
    not_types: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    not_models: tuple[str, ...] = ()
    operating_systems: tuple[str, ...] = ()
    not_operating_systems: tuple[str, ...] = ()
    user_agents: tuple[str, ...] = ()
    not_user_agents: tuple[str, ...] = ()


UNCONDITIONAL = Conditions()


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """One rule; times are epoch seconds."""

    id: str
    name: str
    effect: Effect
    conditions: Conditions = UNCONDITIONAL
    description: str | None = None
    created_at: float = 0.0
    modified_at: float = 0.0

    def matches(self, device: Device) -> bool:
        """Say whether every condition holds."""
        asked = self.conditions
        return (
            _holds(device.type, asked.types, asked.not_types)
            and _holds(device.model, asked.models, asked.not_models)
            and _holds(device.operating_system, asked.operating_systems, asked.not_operating_systems)
            and _holds(device.user_agent, asked.user_agents, asked.not_user_agents)
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and by which rules, or by an override (WorkMail API: GetMobileDeviceAccessEffect)."""

    effect: Effect
    rules: tuple[DeviceRule, ...] = ()
    overridden: bool = False

    @property
    def allowed(self) -> bool:
        """Say whether the device may synchronize."""
        return self.effect is Effect.ALLOW


def decide(rules: Iterable[DeviceRule], device: Device, override: Effect | None = None) -> Decision:
    """An override is final; deny wins over allow; what no rule matches is denied."""
    if override is not None:
        return Decision(override, overridden=True)
    hits = [rule for rule in rules if rule.matches(device)]
    denying = tuple(rule for rule in hits if rule.effect is Effect.DENY)
    if denying:
        return Decision(Effect.DENY, denying)
    return Decision(Effect.ALLOW if hits else Effect.DENY, tuple(hits))


def admit(tx: Tx, user_id: str, device_id: str, device: Device) -> Decision:
    """Decide about a device of a user as things stand; to be asked at every command of ActiveSync."""
    override = device_overrides.find(tx, user_id, device_id)
    if override is not None:
        return decide((), device, override.effect)
    return decide(load(tx), device)


def load(tx: Tx) -> list[DeviceRule]:
    """Read an organization's rules, the oldest first (WorkMail API: ListMobileDeviceAccessRules)."""
    return [
        DeviceRule(str(id), str(name), Effect(effect), _conditions(str(conditions)), description, created_at, modified_at)  # type: ignore[arg-type]
        for id, name, effect, conditions, description, created_at, modified_at in device_rules.page(tx)
    ]


def create(tx: Tx, *, name: str, effect: Effect, conditions: Conditions, description: str | None = None) -> str:
    """Add a rule; gives its id, raises `LimitExceeded` (WorkMail API: CreateMobileDeviceAccessRule)."""
    if device_rules.count(tx) >= MOST_RULES:
        raise errors.LimitExceeded(f"An organization may have {MOST_RULES} mobile device access rules.")
    id = ids.new_device_rule_id()
    device_rules.insert(tx, id, name=name, effect=effect.value, description=description, conditions=_text(conditions), at=tx.now)
    return id


def update(tx: Tx, id: str, *, name: str, effect: Effect, conditions: Conditions, description: str | None = None) -> None:
    """Replace a rule, all of it; raises `EntityNotFound` (WorkMail API: UpdateMobileDeviceAccessRule)."""
    if not device_rules.update(tx, id, name=name, effect=effect.value, description=description, conditions=_text(conditions)):
        raise errors.EntityNotFound(f"There is no mobile device access rule {id}.")


def delete(tx: Tx, id: str) -> None:
    """Remove a rule, which need not be there (WorkMail API: DeleteMobileDeviceAccessRule)."""
    device_rules.delete(tx, id)


@lru_cache(maxsize=4096)
def _conditions(text: str) -> Conditions:
    return msgspec.json.decode(text, type=Conditions)


def _text(conditions: Conditions) -> str:
    return msgspec.json.encode(conditions).decode()


def _holds(value: str, wanted: Sequence[str], unwanted: Sequence[str]) -> bool:
    if not value:
        return not unwanted and (not wanted or NONE in wanted)
    folded = value.lower()
    return (not wanted or _begins(folded, wanted)) and not _begins(folded, unwanted)


def _begins(folded: str, prefixes: Sequence[str]) -> bool:
    return any(folded.startswith(prefix.lower()) for prefix in prefixes if prefix != NONE)
