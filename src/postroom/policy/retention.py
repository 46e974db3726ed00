"""Retention: how long mail stays in a folder, and what becomes of it then.

An organization has one policy, for all its mailboxes. DELETE on a folder does what a person does who deletes: the mail goes to Deleted
Items, where its age begins anew, and from Deleted Items to where it can be recovered for thirty days. The age of an item counts from
its creation, its last move or its last change, whichever is latest.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from postroom.model import errors
from postroom.model.folders import RECOVERABLE
from postroom.storage.engine import Tx
from postroom.storage.queries import retention

DAY = 86_400.0
MAX_DAYS = 730
RECOVERABLE_DAYS = 30
"""How long what has gone from Deleted Items can be recovered."""
ROLES = {"INBOX": "inbox", "DELETED_ITEMS": "trash", "SENT_ITEMS": "sent", "DRAFTS": "drafts", "JUNK_EMAIL": "junk"}
"""The folders a policy can name, and their roles."""


class Action(StrEnum):
    """What becomes of an item at the end of its period (WorkMail API: RetentionAction)."""

    NONE = "NONE"
    DELETE = "DELETE"
    PERMANENTLY_DELETE = "PERMANENTLY_DELETE"


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said of one folder; `days` is its period (WorkMail API: FolderConfiguration)."""

    folder: str
    action: Action
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The retention policy of an organization."""

    id: str
    name: str
    description: str | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Disposal:
    """Items go after so many days: into the folder of a role, or for good when it is None."""

    days: int
    target: str | None


def decide(policy: Policy | None, role: str) -> Disposal | None:
    """Say what becomes of the items in the folder of a role; None when they stay."""
    if role == RECOVERABLE.role:
        return Disposal(RECOVERABLE_DAYS, None)
    rule = next((rule for rule in policy.rules if ROLES[rule.folder] == role), None) if policy else None
    if rule is None or rule.days is None or rule.action is Action.NONE:
        return None
    if rule.action is Action.PERMANENTLY_DELETE:
        return Disposal(rule.days, None)
    return Disposal(rule.days, RECOVERABLE.role if role == "trash" else "trash")


def expiry(disposal: Disposal, now: float) -> float:
    """Give the time (epoch seconds) at or before which an item must have been touched last to have expired at `now`."""
    return now - disposal.days * DAY


def find(tx: Tx) -> Policy | None:
    """Find the organization's policy."""
    row = retention.find(tx)
    return None if row is None else Policy(row[0], row[1], row[2], msgspec.json.decode(row[3], type=tuple[Rule, ...]))


def get(tx: Tx) -> Policy:
    """Get the organization's policy; raises `EntityNotFound` (WorkMail API: GetDefaultRetentionPolicy)."""
    found = find(tx)
    if found is None:
        raise errors.EntityNotFound("The organization has no retention policy.")
    return found


def put(tx: Tx, *, id: str | None, name: str, description: str | None, rules: Sequence[Rule]) -> None:
    """Make or replace the one policy, which keeps its id unless another is given (WorkMail API: PutRetentionPolicy).

    Raises `InvalidParameter` for a folder named twice and for an action without its period.
    """
    _check(rules)
    if id is None:
        before = find(tx)
        id = before.id if before else str(uuid.uuid4())
    retention.insert(tx, id=id, name=name, description=description, rules=msgspec.json.encode(list(rules)).decode())


def delete(tx: Tx, id: str) -> None:
    """Remove the policy of this id; one that is not there is gone already (WorkMail API: DeleteRetentionPolicy)."""
    retention.delete(tx, id)


def _check(rules: Sequence[Rule]) -> None:
    names = [rule.folder for rule in rules]
    for rule in rules:
        if names.count(rule.folder) > 1:
            raise errors.InvalidParameter(f"The folder {rule.folder} is named twice.")
        if rule.action is not Action.NONE and rule.days is None:
            raise errors.InvalidParameter(f"The action {rule.action} on {rule.folder} needs a period.")
        if rule.days is not None and not 1 <= rule.days <= MAX_DAYS:
            raise errors.InvalidParameter(f"A period is between 1 and {MAX_DAYS} days.")
