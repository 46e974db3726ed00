"""Flow rules: what an organization does with letters from and to certain addresses, before any rule of a user.

A rule has patterns for the sender and for the recipient: an address, a domain, `*.domain` for a domain and all below it, or `*`. Of the
rules that match, the one that names the sender most closely decides, then the one that names the recipient most closely: an address is
closer than a domain, that closer than `*.domain`, of which the longer is the closer, and `*` comes last. Among equals the strictest
decides, then one of the configuration, then the first by name. What stands behind `+` in an address is not looked at.

A rule may leave it to a hook what is done: a function of AWS Lambda, or a program that is reached by HTTP. Letters of a rule that `waits`
stay where they are until it has answered; those of others go on, and the hook is told. An outbound rule may also send letters by way of
a gateway, an SMTP server.

WorkMail administrator guide: managing email flows
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import msgspec

from postroom.model import errors
from postroom.model.addresses import domain_key, parse
from postroom.storage.engine import Tx
from postroom.storage.queries import flow_rules as rows

MAXIMUM = 250
"""Patterns of one rule, senders and destinations together (WorkMail: quotas)."""
MAXIMUM_IN_ALL = 1000
"""Patterns of all rules of an organization (WorkMail: quotas)."""
DEFAULT_MESSAGE = "The recipient does not accept this message"
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}\Z")
_MESSAGE = re.compile(r"[\x20-\x7e]{0,400}\Z")
LONGEST_MINUTES = 240
"""For how long a hook may be called again (WorkMail administrator guide: Lambda, limits)."""
TARGET = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
"""What a hook or a gateway may be called."""
FUNCTION = re.compile(r"arn:aws[a-z-]{0,12}:lambda:[a-z0-9-]{1,32}:\d{12}:function:[A-Za-z0-9_-]{1,140}(?::[A-Za-z0-9$_-]{1,128})?\Z")
"""The ARN of a function of AWS Lambda."""


class Way(StrEnum):
    """Letters that come in, or those that users submit."""

    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class Action(StrEnum):
    """What is done with a letter, the strictest first."""

    DROP = "DROP"
    BOUNCE = "BOUNCE"
    JUNK = "JUNK"
    DEFAULT = "DEFAULT"
    NEVER_JUNK = "NEVER_JUNK"
    GATEWAY = "GATEWAY"
    LAMBDA = "LAMBDA"


STRICTNESS = {action: -place for place, action in enumerate(Action)}
ANSWERS = {
    Way.INBOUND: frozenset((Action.DROP, Action.BOUNCE, Action.JUNK, Action.DEFAULT, Action.NEVER_JUNK)),
    Way.OUTBOUND: frozenset((Action.DROP, Action.BOUNCE, Action.DEFAULT)),
}
"""What a hook may answer, and what may be done when it does not."""
POSSIBLE = {Way.INBOUND: ANSWERS[Way.INBOUND] | {Action.LAMBDA}, Way.OUTBOUND: ANSWERS[Way.OUTBOUND] | {Action.GATEWAY, Action.LAMBDA}}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; `message` is told to the sender of what goes back.

    `target` is the name of a hook or gateway, or the ARN of a function. A hook for whose answer a rule `waits` is called again for so many
    `minutes`; then `fallback` is done. `configured` says that the rule stands in the configuration, where alone it can be changed.
    """

    way: Way
    name: str
    action: Action
    senders: tuple[str, ...] = ("*",)
    destinations: tuple[str, ...] = ("*",)
    message: str = ""
    target: str = ""
    waits: bool = False
    minutes: int = 0
    fallback: Action = Action.DEFAULT
    configured: bool = False

    @property
    def size(self) -> int:
        """Count its patterns."""
        return len(self.senders) + len(self.destinations)


def decide(rules: Iterable[Rule], sender: str, destination: str) -> Rule | None:
    """Give the one rule that decides about a letter; both addresses are keys, as `key` gives them."""
    best: tuple[tuple[int, int], tuple[int, int], int] | None = None
    found = None
    for rule in rules:
        near, far = _closest(rule.senders, sender), _closest(rule.destinations, destination)
        if near is not None and far is not None and (best is None or (near, far, STRICTNESS[rule.action]) > best):
            best, found = (near, far, STRICTNESS[rule.action]), rule
    return found


def key(address: str) -> str:
    """Give the form of an address in which it is compared, '' for what is none."""
    try:
        found = parse(address).key
    except errors.InvalidParameter:
        return ""
    local, _, domain = found.rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def pattern(text: str) -> str:
    """Read a pattern and give its usual form; raises `InvalidParameter`."""
    if text == "*":
        return text
    if "+" in text:
        raise errors.InvalidParameter(f"{text[:320]}: a pattern has no +.")
    if "@" in text:
        return parse(text).key
    return f"*.{domain_key(text[2:])}" if text.startswith("*.") else domain_key(text)


def page(tx: Tx, way: Way) -> list[Rule]:
    """List all rules of one way, first those of the configuration, then by name."""
    return sorted((_rule(*row) for row in rows.page(tx, way.value)), key=lambda rule: not rule.configured)


def get(tx: Tx, way: Way, name: str) -> Rule:
    """Give a rule; raises `ResourceNotFound`."""
    found = next((rule for rule in page(tx, way) if rule.name == name), None)
    if found is None:
        raise errors.ResourceNotFound(f"There is no {way.value.lower()} rule {name}.")
    return found


def put(tx: Tx, rule: Rule) -> None:
    """Put a rule, in the place of the one of its way and name; raises `InvalidParameter`, `LimitExceeded`."""
    rule = checked(rule)
    _require_changeable(tx, rule.way, rule.name)
    others = [one for way in Way for one in page(tx, way) if (one.way, one.name) != (rule.way, rule.name)]
    require_few([rule, *others])
    _put(tx, rule)


def delete(tx: Tx, way: Way, name: str) -> None:
    """Remove a rule; raises `ResourceNotFound`, and `InvalidParameter` for one of the configuration."""
    _require_changeable(tx, way, name)
    if not rows.delete(tx, direction=way.value, name=name):
        raise errors.ResourceNotFound(f"There is no {way.value.lower()} rule {name}.")


def configure(tx: Tx, rules: Sequence[Rule]) -> bool:
    """Let the rules of the configuration be these, in the place of others of their names; tells whether something has changed."""
    before = {(rule.way, rule.name): rule for way in Way for rule in page(tx, way)}
    wanted = {(rule.way, rule.name): replace(rule, configured=True) for rule in rules}
    gone = [at for at, rule in before.items() if rule.configured and at not in wanted]
    for way, name in gone:
        rows.delete(tx, direction=way.value, name=name)
    changed = [rule for at, rule in wanted.items() if before.get(at) != rule]
    for rule in changed:
        _put(tx, rule)
    return bool(gone or changed)


def checked(rule: Rule) -> Rule:
    """Give a rule with its patterns in their usual form; raises `InvalidParameter`, `LimitExceeded`."""
    if not _NAME.match(rule.name) or not _MESSAGE.match(rule.message):
        raise errors.InvalidParameter("A name has 1 to 64 characters, a message up to 400 in ASCII.")
    if rule.action not in POSSIBLE[rule.way]:
        raise errors.InvalidParameter(
            f"{rule.action.value} is no action for letters that {'come in' if rule.way is Way.INBOUND else 'go out'}."
        )
    found = replace(rule, senders=_patterns(rule.senders), destinations=_patterns(rule.destinations))
    require_few([found])
    _check_target(found)
    return found


def require_few(rules: Sequence[Rule]) -> None:
    """Raise `LimitExceeded` for more patterns than rules may have, one of them or all together."""
    if any(rule.size > MAXIMUM for rule in rules) or sum(rule.size for rule in rules) > MAXIMUM_IN_ALL:
        raise errors.LimitExceeded(f"A rule may have {MAXIMUM} patterns, all rules together {MAXIMUM_IN_ALL}.")


def _check_target(rule: Rule) -> None:
    hook, gateway = rule.action is Action.LAMBDA, rule.action is Action.GATEWAY
    if gateway and not TARGET.match(rule.target):
        raise errors.InvalidParameter("A rule that sends by way of a gateway needs the name of one.")
    if hook and not (TARGET.match(rule.target) or FUNCTION.match(rule.target)):
        raise errors.InvalidParameter("A rule that calls a hook needs the name of one, or the ARN of a function of AWS Lambda.")
    if rule.target and not (hook or gateway):
        raise errors.InvalidParameter(f"{rule.action.value} has neither a hook nor a gateway.")
    if (rule.waits or rule.minutes or rule.fallback is not Action.DEFAULT) and not hook:
        raise errors.InvalidParameter("Only a rule that calls a hook can wait for it.")
    if not 0 <= rule.minutes <= LONGEST_MINUTES or (rule.minutes and not rule.waits):
        raise errors.InvalidParameter(f"A rule that waits calls its hook again for 0 to {LONGEST_MINUTES} minutes.")
    if rule.waits and rule.destinations != ("*",):
        raise errors.InvalidParameter("A rule that waits for a hook is for all destinations.")
    if rule.fallback not in ANSWERS[rule.way]:
        raise errors.InvalidParameter(f"{rule.fallback.value} cannot be done when a hook does not answer.")


def _require_changeable(tx: Tx, way: Way, name: str) -> None:
    if any(rule.name == name and rule.configured for rule in page(tx, way)):
        raise errors.InvalidParameter(f"The {way.value.lower()} rule {name} stands in the configuration; change it there.")


def _put(tx: Tx, rule: Rule) -> None:
    values = {
        "direction": rule.way.value,
        "name": rule.name,
        "action": rule.action.value,
        "message": rule.message,
        "senders": msgspec.json.encode(rule.senders).decode(),
        "destinations": msgspec.json.encode(rule.destinations).decode(),
        "target": rule.target,
        "waits": int(rule.waits),
        "minutes": rule.minutes,
        "fallback": rule.fallback.value,
        "configured": int(rule.configured),
    }
    rows.put(tx, values)


def _patterns(texts: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(pattern(text) for text in texts))
    if not found:
        raise errors.InvalidParameter("A rule has a pattern for senders and one for destinations at least; * is all of them.")
    return found


def _closest(patterns: Iterable[str], address: str) -> tuple[int, int] | None:
    """Say how closely patterns name an address: by the kind of the closest, then by its length; None when none of them matches."""
    domain = address.rpartition("@")[2]
    return max((found for found in (_closeness(one, address, domain) for one in patterns) if found is not None), default=None)


def _closeness(one: str, address: str, domain: str) -> tuple[int, int] | None:
    if one == "*":
        return 0, 0
    if one.startswith("*."):
        return (1, len(one)) if f".{domain}".endswith(one[1:]) else None
    if "@" in one:
        return (3, 0) if one == address else None
    return (2, 0) if one == domain else None


@lru_cache(maxsize=1024)
def _rule(
    way: str,
    name: str,
    action: str,
    message: str,
    senders: str,
    destinations: str,
    target: str,
    waits: int,
    minutes: int,
    fallback: str,
    configured: int,
) -> Rule:
    reach = msgspec.json.Decoder(tuple[str, ...])
    return Rule(
        Way(way),
        name,
        Action(action),
        reach.decode(senders),
        reach.decode(destinations),
        message,
        target=target,
        waits=bool(waits),
        minutes=minutes,
        fallback=Action(fallback),
        configured=bool(configured),
    )
