"""Flow rules: what an organization does with letters from and to certain addresses, before any rule of a user.

A rule has patterns for the sender and for the recipient: an address, a domain, `*.domain` for a domain and all below it, or `*`. Of the
rules that match, the one that names the sender most closely decides, then the one that names the recipient most closely: an address is
closer than a domain, that closer than `*.domain`, of which the longer is the closer, and `*` comes last. Among equals the strictest
decides, then the first by name. What stands behind `+` in an address is not looked at.

WorkMail administrator guide: managing email flows
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


STRICTNESS = {action: -place for place, action in enumerate(Action)}
POSSIBLE = {Way.INBOUND: frozenset(Action), Way.OUTBOUND: frozenset((Action.DROP, Action.BOUNCE, Action.DEFAULT))}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; `message` is told to the sender of what goes back."""

    way: Way
    name: str
    action: Action
    senders: tuple[str, ...] = ("*",)
    destinations: tuple[str, ...] = ("*",)
    message: str = ""

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
    """List all rules of one way, by name."""
    return [_rule(*row) for row in rows.page(tx, way.value)]


def get(tx: Tx, way: Way, name: str) -> Rule:
    """Give a rule; raises `ResourceNotFound`."""
    found = next((rule for rule in page(tx, way) if rule.name == name), None)
    if found is None:
        raise errors.ResourceNotFound(f"There is no {way.value.lower()} rule {name}.")
    return found


def put(tx: Tx, rule: Rule) -> None:
    """Put a rule, in the place of the one of its way and name; raises `InvalidParameter`, `LimitExceeded`."""
    if not _NAME.match(rule.name) or not _MESSAGE.match(rule.message):
        raise errors.InvalidParameter("A name has 1 to 64 characters, a message up to 400 in ASCII.")
    if rule.action not in POSSIBLE[rule.way]:
        raise errors.InvalidParameter(f"{rule.action.value} is no action for letters that go out.")
    senders, destinations = _patterns(rule.senders), _patterns(rule.destinations)
    others = sum(one.size for way in Way for one in page(tx, way) if (one.way, one.name) != (rule.way, rule.name))
    size = len(senders) + len(destinations)
    if size > MAXIMUM or size + others > MAXIMUM_IN_ALL:
        raise errors.LimitExceeded(f"A rule may have {MAXIMUM} patterns, all rules together {MAXIMUM_IN_ALL}.")
    rows.put(
        tx,
        direction=rule.way.value,
        name=rule.name,
        action=rule.action.value,
        message=rule.message,
        senders=msgspec.json.encode(senders).decode(),
        destinations=msgspec.json.encode(destinations).decode(),
    )


def delete(tx: Tx, way: Way, name: str) -> None:
    """Remove a rule; raises `ResourceNotFound`."""
    if not rows.delete(tx, direction=way.value, name=name):
        raise errors.ResourceNotFound(f"There is no {way.value.lower()} rule {name}.")


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
def _rule(way: str, name: str, action: str, message: str, senders: str, destinations: str) -> Rule:
    reach = msgspec.json.Decoder(tuple[str, ...])
    return Rule(Way(way), name, Action(action), reach.decode(senders), reach.decode(destinations), message)
