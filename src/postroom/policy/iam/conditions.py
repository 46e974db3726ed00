"""The condition operators of IAM policies.

An operator is a family (String, Arn, Numeric, Date, Bool, IpAddress) with a test of one value of the request against one value of the
policy, perhaps negated.  `ForAllValues:` and `ForAnyValue:` range over the values of the request; `IfExists` forgives an absent key;
`Null` asks only whether the key is there.

AWS: "IAM JSON policy elements: Condition operators", "Multivalued context keys"
"""

from __future__ import annotations

import operator as compare
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from postroom.policy.iam.wildcards import Wildcard

Context = Mapping[str, tuple[str, ...]]
"""The circumstances of a request: condition key in lower case to its values; an absent key is not in it."""
Test = Callable[[str, Context], bool]

_ARN_PARTS = 6
_BETWEEN_PARTS = re.compile(r":(?![^{}]*\})")
"""A colon, but not that of a variable as `${aws:PrincipalAccount}`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key; `over` is "all", "any" or "" for a key with a single value."""

    key: str
    tests: tuple[Test, ...]
    negated: bool = False
    if_exists: bool = False
    over: str = ""
    absent: bool | None = None
    """For `Null`: whether the key must be absent."""

    def holds(self, context: Context) -> bool:
        """Say whether the condition is met."""
        values = context.get(self.key)
        if self.absent is not None:
            return (not values) == self.absent
        if not values:
            return self.over == "all" or self.if_exists or (self.negated and not self.over)
        if self.over == "all":
            return all(self._fits(value, context) != self.negated for value in values)
        if self.over == "any":
            return any(self._fits(value, context) != self.negated for value in values)
        return any(self._fits(value, context) for value in values) != self.negated

    def _fits(self, value: str, context: Context) -> bool:
        return any(test(value, context) for test in self.tests)


def compile_condition(operator: str, key: str, values: Sequence[str], variables: bool) -> Condition:
    """Compile an operator on a key; raises ValueError with what is wrong."""
    over, name = "", operator
    for prefix, meaning in (("ForAllValues:", "all"), ("ForAnyValue:", "any")):
        if operator.startswith(prefix):
            over, name = meaning, operator.removeprefix(prefix)
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if ":" not in key:
        raise ValueError(f"the condition key {key} must be prefaced by a vendor, as in aws:SourceIp")
    if name == "Null":
        if over or if_exists or any(value.lower() not in ("true", "false") for value in values):
            raise ValueError("Null takes true or false and no modifier")
        return Condition(key.lower(), (), absent=values[0].lower() == "true")
    family = _FAMILIES.get(name)
    if family is None:
        raise ValueError(f"the condition operator {operator} is unknown")
    make, negated = family
    return Condition(key.lower(), tuple(make(value, variables) for value in values), negated, if_exists, over)


def _string_equals(value: str, variables: bool) -> Test:
    if variables and "${" in value:
        return Wildcard.of(value, variables=True, literal=True).matches
    return lambda given, _: given == value


def _string_equals_ignoring_case(value: str, variables: bool) -> Test:
    if variables and "${" in value:
        return Wildcard.of(value, ignore_case=True, variables=True, literal=True).matches
    folded = value.casefold()
    return lambda given, _: given.casefold() == folded


def _string_like(value: str, variables: bool) -> Test:
    return Wildcard.of(value, variables=variables).matches


def _arn_like(value: str, variables: bool) -> Test:
    patterns = [Wildcard.of(part, variables=variables) for part in _BETWEEN_PARTS.split(value, _ARN_PARTS - 1)]
    if len(patterns) != _ARN_PARTS:
        raise ValueError(f"{value} is not an ARN")

    def test(given: str, context: Context) -> bool:
        parts = given.split(":", _ARN_PARTS - 1)
        return len(parts) == _ARN_PARTS and all(pattern.matches(part, context) for pattern, part in zip(patterns, parts, strict=True))

    return test


def _bool(value: str, _: bool) -> Test:
    wanted = value.lower()
    if wanted not in ("true", "false"):
        raise ValueError(f"{value} is not true or false")
    return lambda given, _: given.lower() == wanted


def _ip_address(value: str, _: bool) -> Test:
    network = ip_network(value, strict=False)

    def test(given: str, _: Context) -> bool:
        try:
            address = ip_address(given)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in network

    return test


def _ordered(read: Callable[[str], float], relation: Callable[[float, float], bool]) -> Callable[[str, bool], Test]:
    def make(value: str, _: bool) -> Test:
        bound = read(value)

        def test(given: str, _: Context) -> bool:
            try:
                return relation(read(given), bound)
            except ValueError:
                return False

        return test

    return make


def _date(text: str) -> float:
    """Read an ISO 8601 date or epoch seconds."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_FAMILIES: dict[str, tuple[Callable[[str, bool], Test], bool]] = {
    "StringEquals": (_string_equals, False),
    "StringNotEquals": (_string_equals, True),
    "StringEqualsIgnoreCase": (_string_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_string_equals_ignoring_case, True),
    "StringLike": (_string_like, False),
    "StringNotLike": (_string_like, True),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_bool, False),
    "IpAddress": (_ip_address, False),
    "NotIpAddress": (_ip_address, True),
}
for _prefix, _read in (("Numeric", float), ("Date", _date)):
    _FAMILIES |= {
        f"{_prefix}Equals": (_ordered(_read, compare.eq), False),
        f"{_prefix}NotEquals": (_ordered(_read, compare.eq), True),
        f"{_prefix}LessThan": (_ordered(_read, compare.lt), False),
        f"{_prefix}LessThanEquals": (_ordered(_read, compare.le), False),
        f"{_prefix}GreaterThan": (_ordered(_read, compare.gt), False),
        f"{_prefix}GreaterThanEquals": (_ordered(_read, compare.ge), False),
    }
