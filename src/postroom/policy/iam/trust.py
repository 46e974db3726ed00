"""Trust policies: who may assume a role.

A trust policy names principals where another policy names resources.  The ARNs it names must exist when it is written; what they stood for
then, unique ids, is kept beside it, so one who comes later under the same name is not trusted.  Who is named in person (or as `*`) needs no
permission of their own in the same account; where only the account is named, the caller's own policies must allow it as well.  A session
whose policy narrows it must be allowed by that too, unless it is the session itself that is named.

AWS: "AWS JSON policy elements: Principal", "Policy evaluation logic for requests within a single account"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import msgspec

from postroom.directory import principals, roles
from postroom.model.principals import Identity, Role, role_arn, user_arn
from postroom.policy import iam
from postroom.policy.iam.conditions import Condition, Context
from postroom.policy.iam.wildcards import Wildcard
from postroom.storage.engine import Tx
from postroom.storage.queries import roles as rows

LONGEST_DOCUMENT = 2048
ANYBODY = "*"

_PARTS = frozenset({"Sid", "Effect", "Principal", "Action", "NotAction", "Condition"})
_KINDS = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_ACCOUNT = re.compile(r"(?a)(?:arn:aws:iam::)?(\d{12})(:root)?\Z")
_PERSON = re.compile(r"(?a)arn:aws:(?:iam::\d{12}:(?:user|role)/[!-)+->@-~]+|sts::\d{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+)\Z")


class Trust(IntEnum):
    """How far a caller is trusted; the greater counts."""

    DENIED = -1
    NOBODY = 0
    ACCOUNT = 1
    """If the caller's own policies allow it."""
    ROLE = 2
    """As the user or the role it is."""
    SESSION = 3
    """As this very session, or as anybody."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A compiled statement; `named` are ARNs, account numbers and `*`."""

    allows: bool
    named: tuple[str, ...]
    actions: tuple[Wildcard, ...]
    actions_negated: bool
    conditions: tuple[Condition, ...]

    def speaks_of(self, action: str, context: Context) -> bool:
        """Say whether the statement is about this action in these circumstances."""
        return any(pattern.matches(action, context) for pattern in self.actions) != self.actions_negated and all(
            condition.holds(context) for condition in self.conditions
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which account."""

    account: str
    identity: Identity


@lru_cache(maxsize=256)
def parse(document: str) -> tuple[Statement, ...]:
    """Compile a trust policy; raises MalformedPolicy."""
    entries, variables = iam.read(document, LONGEST_DOCUMENT)
    return tuple(_statement(entry, variables) for entry in entries)


def resolve(tx: Tx, account: str, statements: tuple[Statement, ...]) -> dict[str, str]:
    """Find the ids of the users and roles that a trust policy names; raises MalformedPolicy for one of this account that does not exist.

    Those of other accounts are left out: nobody here is one of them.
    """
    ids: dict[str, str] = {}
    for arn in (name for statement in statements for name in statement.named if _PERSON.match(name)):
        if f"::{account}:" in arn:
            found = _find(tx, account, arn)
            if found is None:
                iam.malformed(f'Invalid principal in policy: "AWS":"{arn}"')
            ids[arn] = found
    return ids


def create_role(
    tx: Tx, account: str, *, name: str, document: str, path: str = "/", description: str | None = None, session_seconds: int
) -> Role:
    """Make a role that trusts as a document says; raises MalformedPolicy and what `roles.create` raises (IAM API: CreateRole)."""
    trusted = _trusted(tx, account, document)
    return roles.create(tx, name=name, trust=document, trusted=trusted, path=path, description=description, session_seconds=session_seconds)


def set_trust(tx: Tx, account: str, role: Role, document: str) -> None:
    """Let a role trust as a document says; raises MalformedPolicy (IAM API: UpdateAssumeRolePolicy)."""
    rows.set_trust(tx, role.id, document, _trusted(tx, account, document))


def _trusted(tx: Tx, account: str, document: str) -> str:
    statements = parse(document)
    iam.require_unambiguous(document)
    return msgspec.json.encode(resolve(tx, account, statements)).decode()


def decide(statements: tuple[Statement, ...], trusted: Mapping[str, str], caller: Caller, action: str, context: Context) -> Trust:
    """Decide how far a caller is trusted; `trusted` is what `resolve` found when the policy was written."""
    most = Trust.NOBODY
    for statement in statements:
        if not statement.speaks_of(action, context):
            continue
        level = max(_level(name, trusted, caller) for name in statement.named) if statement.named else Trust.NOBODY
        if level > Trust.NOBODY and not statement.allows:
            return Trust.DENIED
        most = max(most, level)
    return most


def _level(name: str, trusted: Mapping[str, str], caller: Caller) -> Trust:
    """Say how nearly a name of a trust policy means the caller."""
    if name == ANYBODY:
        return Trust.SESSION
    if name == caller.account:
        return Trust.ACCOUNT
    if trusted.get(name) != caller.identity.id:
        return Trust.NOBODY
    if name == caller.identity.arn(caller.account):
        return Trust.SESSION
    return Trust.ROLE if name == caller.identity.principal_arn(caller.account) else Trust.NOBODY


def _statement(raw: Mapping[str, Any], variables: bool) -> Statement:
    if "Resource" in raw or "NotResource" in raw:
        iam.malformed("Has prohibited field Resource")
    if not raw.keys() <= _PARTS:
        iam.malformed(f"a Statement has an unknown element {sorted(raw.keys() - _PARTS)[0]}")
    actions, negated = iam.read_actions(raw)
    return Statement(
        raw["Effect"] == "Allow",
        tuple(_principals(raw.get("Principal"))),
        actions,
        negated,
        iam.read_conditions(raw.get("Condition", {}), variables),
    )


def _principals(raw: Any) -> Iterator[str]:
    """Read whom a statement names; services and the users of other identity providers never call here."""
    if raw == ANYBODY:
        yield ANYBODY
        return
    if not isinstance(raw, dict) or not raw or not raw.keys() <= _KINDS:
        iam.malformed("a Statement must have a Principal")
    for kind, value in raw.items():
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) for name in names):
            iam.malformed(f"the principals of {kind} must be texts")
        if kind == "AWS":
            yield from (_name(name) for name in names)


def _name(text: str) -> str:
    """Read one name: an account becomes its number."""
    account = _ACCOUNT.match(text)
    if account is not None and text.startswith("arn:") == bool(account[2]):
        return account[1]
    if text != ANYBODY and not _PERSON.match(text):
        iam.malformed(f'Invalid principal in policy: "AWS":"{text}"')
    return text


def _find(tx: Tx, account: str, arn: str) -> str | None:
    """Find the id of the user or role of this account that an ARN names."""
    kind, _, rest = arn.split(":", 5)[5].partition("/")
    if kind == "assumed-role":
        found = roles.find(tx, rest.partition("/")[0])
        return None if found is None else found.id
    name = rest.rpartition("/")[2]
    if kind == "user":
        user = principals.find_user(tx, name)
        return user.id if user is not None and user_arn(account, user.path, user.name) == arn else None
    role = roles.find(tx, name)
    return role.id if role is not None and role_arn(account, role.path, role.name) == arn else None
