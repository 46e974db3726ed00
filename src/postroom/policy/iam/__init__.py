"""IAM policy documents: may this action be done to this resource, in these circumstances?

A document is compiled once into matchers and refused there if it is malformed, so a decision never fails.  Deny wins over allow; what no
statement allows is denied.  Conditions are read as AWS reads them: operators of one statement must all hold, of the values of a key one
must match; a key that is absent fails an operator, unless it is a negated one, ends in IfExists or is ForAllValues.

AWS: "IAM JSON policy elements reference", "Policy evaluation logic"
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from postroom.model import errors
from postroom.policy.iam import conditions
from postroom.policy.iam.conditions import Condition, Context
from postroom.policy.iam.wildcards import Wildcard

LONGEST_DOCUMENT = 6144
ADMINISTRATOR = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
READ_ONLY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",'
    '"Action":["workmail:Describe*","workmail:Get*","workmail:List*"]}]}'
)

_VERSIONS = ("2012-10-17", "2008-10-17")
_TOP = frozenset({"Version", "Id", "Statement"})
_PARTS = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})
_ACTION = re.compile(r"(?a)(\*|[\w*?-]+:[\w*?-]+)\Z")
_SID = re.compile(r"[0-9A-Za-z]*\Z")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an action is allowed; if not, whether a statement said so."""

    allowed: bool
    explicit: bool = False
    session: bool = False
    """Whether it was the session's policy that did not allow it."""


ALLOWED = Decision(True)
DENIED = Decision(False)
DENIED_EXPLICITLY = Decision(False, True)
DENIED_BY_SESSION = Decision(False, False, True)


@dataclass(frozen=True, slots=True)
class Statement:
    """A compiled statement; a negated list matches what is not in it."""

    allows: bool
    actions: tuple[Wildcard, ...]
    actions_negated: bool
    resources: tuple[Wildcard, ...]
    resources_negated: bool
    conditions: tuple[Condition, ...]

    def matches(self, action: str, resource: str, context: Context) -> bool:
        """Say whether the statement speaks of this request."""
        return (
            _any(self.actions, action, context) != self.actions_negated
            and _any(self.resources, resource, context) != self.resources_negated
            and all(condition.holds(context) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled document, or what several of them say together."""

    denying: tuple[Statement, ...]
    allowing: tuple[Statement, ...]
    text: str
    """The document in lower case, empty when no decision depends on the circumstances of the request."""
    within: Policy | None = None
    """What else must allow, such as the policy of a session."""

    @property
    def contextual(self) -> bool:
        """Say whether any circumstance of a request matters."""
        return bool(self.text)

    def looks_at(self, key: str) -> bool:
        """Say whether a condition key, in lower case, or one with this prefix, may matter."""
        return key in self.text


def decide(policy: Policy, action: str, resource: str, context: Context) -> Decision:
    """Decide about an action (`workmail:CreateUser`) on a resource (an ARN, or `*`); keys of the context are in lower case."""
    for statement in policy.denying:
        if statement.matches(action, resource, context):
            return DENIED_EXPLICITLY
    if policy.within is not None:
        return _decide_within(policy, policy.within, action, resource, context)
    for statement in policy.allowing:
        if statement.matches(action, resource, context):
            return ALLOWED
    return DENIED


def _decide_within(policy: Policy, limit: Policy, action: str, resource: str, context: Context) -> Decision:
    """Decide where two have to allow; an explicit deny of either comes before everything."""
    limiting = decide(limit, action, resource, context)
    if limiting.explicit:
        return limiting
    if not decide(replace(policy, within=None), action, resource, context).allowed:
        return DENIED
    return limiting if limiting.allowed else DENIED_BY_SESSION


def union(policies: Sequence[Policy]) -> Policy:
    """Say what several policies of one principal say together."""
    if len(policies) == 1:
        return policies[0]
    return Policy(
        tuple(statement for policy in policies for statement in policy.denying),
        tuple(statement for policy in policies for statement in policy.allowing),
        "\n".join(policy.text for policy in policies if policy.text),
    )


def narrowed(policy: Policy, limit: Policy) -> Policy:
    """Allow what both allow."""
    return Policy(policy.denying, policy.allowing, "\n".join(filter(None, (policy.text, limit.text))), limit)


def _any(patterns: tuple[Wildcard, ...], value: str, context: Context) -> bool:
    for pattern in patterns:  # noqa: SIM110  a generator costs more than all its matches
        if pattern.matches(value, context):
            return True
    return False


@lru_cache(maxsize=1024)
def parse(document: str) -> Policy:
    """Compile a policy document; raises MalformedPolicy."""
    entries, variables = read(document, LONGEST_DOCUMENT)
    compiled = [_statement(entry, variables) for entry in entries]
    normal = msgspec.json.encode(entries).decode().lower()
    return Policy(
        tuple(statement for statement in compiled if not statement.allows),
        tuple(statement for statement in compiled if statement.allows),
        normal if "${" in normal or any(statement.conditions for statement in compiled) else "",
    )


def read(document: str, longest: int) -> tuple[list[Any], bool]:
    """Read a document of any kind; gives its statements and whether `${...}` in them is to be filled in. Raises MalformedPolicy."""
    if len("".join(document.split())) > longest:  # AWS does not count white space
        malformed(f"it is longer than {longest} characters")
    try:
        raw = msgspec.json.decode(document)
    except (ValueError, RecursionError):
        malformed("it is not JSON")
    if not isinstance(raw, dict) or not raw.keys() <= _TOP:
        malformed("it must be an object with Version and Statement")
    version = raw.get("Version", _VERSIONS[1])
    if version not in _VERSIONS:
        malformed("Version must be 2012-10-17 or 2008-10-17")
    statements = raw.get("Statement")
    entries: list[Any] = statements if isinstance(statements, list) else [statements]
    if not entries:
        malformed("it has no Statement")
    for entry in entries:
        _require_frame(entry)
    sids = [entry["Sid"] for entry in entries if entry.get("Sid")]
    if len(set(sids)) != len(sids):
        malformed("a Sid occurs twice")
    return entries, version == _VERSIONS[0]


def require_unambiguous(document: str) -> None:
    """Refuse a document in which an object has a name twice, for of two `Effect` each reader believes another; raises MalformedPolicy.

    To be asked of documents that are given, not of those that were kept before it was.
    """
    try:
        json.loads(document, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        malformed("it is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        malformed("a name occurs twice in one object")
    return found


def _require_frame(raw: Any) -> None:
    """Refuse a statement without what statements of any kind have."""
    if not isinstance(raw, dict):
        malformed("a Statement must be an object")
    if raw.get("Effect") not in ("Allow", "Deny"):
        malformed("Effect must be Allow or Deny")
    if not isinstance(raw.get("Sid", ""), str) or not _SID.match(raw.get("Sid", "")):
        malformed("Sid must be letters and digits")


def _statement(raw: Mapping[str, Any], variables: bool) -> Statement:
    if "Principal" in raw or "NotPrincipal" in raw:
        malformed("it belongs to a principal and may not name one")
    if not raw.keys() <= _PARTS:
        malformed(f"a Statement has an unknown element {sorted(raw.keys() - _PARTS)[0]}")
    actions, actions_negated = read_actions(raw)
    resources, resources_negated = _either(raw, "Resource", "NotResource", _is_resource, 'a Resource must be an ARN or "*"')
    return Statement(
        raw["Effect"] == "Allow",
        actions,
        actions_negated,
        tuple(Wildcard.of(resource, variables=variables) for resource in resources),
        resources_negated,
        read_conditions(raw.get("Condition", {}), variables),
    )


def read_actions(raw: Mapping[str, Any]) -> tuple[tuple[Wildcard, ...], bool]:
    """Compile a statement's actions; says whether they are those it does not speak of. Raises MalformedPolicy."""
    wish = "actions must be prefaced by a vendor, as in workmail:CreateUser"
    actions, negated = _either(raw, "Action", "NotAction", _is_action, wish)
    return tuple(Wildcard.of(action, ignore_case=True) for action in actions), negated


def _either(raw: Mapping[str, Any], name: str, negated: str, right: Callable[[str], bool], wish: str) -> tuple[Sequence[str], bool]:
    if (name in raw) == (negated in raw):
        malformed(f"a Statement must have either {name} or {negated}")
    value = raw[name] if name in raw else raw[negated]
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and right(text) for text in texts):
        malformed(wish)
    return texts, negated in raw


def _is_action(text: str) -> bool:
    return _ACTION.match(text) is not None


def _is_resource(text: str) -> bool:
    return text == "*" or text.startswith("arn:")


def read_conditions(raw: Any, variables: bool) -> tuple[Condition, ...]:
    """Compile a statement's conditions; raises MalformedPolicy."""
    if not isinstance(raw, dict):
        malformed("Condition must be an object")
    compiled = []
    for operator, keys in raw.items():
        if not isinstance(keys, dict):
            malformed(f"the condition {operator} must be an object of keys")
        for key, value in keys.items():
            values = value if isinstance(value, list) else [value]
            if not values or not all(isinstance(entry, str | bool | int | float) for entry in values):
                malformed(f"the condition {operator} of {key} must have values")
            texts = [str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in values]
            try:
                compiled.append(conditions.compile_condition(operator, key, texts, variables))
            except ValueError as error:
                malformed(str(error))
    return tuple(compiled)


def malformed(why: str) -> NoReturn:
    """Raise MalformedPolicy with what is wrong."""
    raise errors.MalformedPolicy(f"The policy document is malformed: {why}.")
