"""Inline policies of users and roles: one that is malformed is never kept."""

from __future__ import annotations

from postroom.model import errors
from postroom.policy import iam
from postroom.policy.iam import Policy
from postroom.storage.engine import Tx
from postroom.storage.queries import principals

MOST_CHARACTERS = 10_240
"""Of all policies of a user or a role together, not counting white space."""
MOST_WITH_SPACE = 131_072
"""The same, counting it: all of them are read for each signature that is checked."""


def put(tx: Tx, owner: str, name: str, document: str) -> None:
    """Give a user or a role a policy, in the place of one of the same name; raises MalformedPolicy, LimitExceeded.

    (IAM API: PutUserPolicy, PutRolePolicy)
    """
    iam.parse(document)
    iam.require_unambiguous(document)
    kept = (principals.policies(tx, owner) | {name: document}).values()
    if sum(len("".join(text.split())) for text in kept) > MOST_CHARACTERS or sum(map(len, kept)) > MOST_WITH_SPACE:
        raise errors.LimitExceeded(f"Maximum policy size of {MOST_CHARACTERS} bytes exceeded")
    principals.put_policy(tx, owner, name, document)


def get(tx: Tx, owner: str, name: str) -> str:
    """Get a policy's document; raises EntityNotFound (IAM API: GetUserPolicy, GetRolePolicy)."""
    document = principals.policies(tx, owner).get(name)
    if document is None:
        raise _absent(name)
    return document


def names(tx: Tx, owner: str) -> list[str]:
    """List the names of somebody's policies, in order (IAM API: ListUserPolicies, ListRolePolicies)."""
    return list(principals.policies(tx, owner))


def delete(tx: Tx, owner: str, name: str) -> None:
    """Take a policy away; raises EntityNotFound (IAM API: DeleteUserPolicy, DeleteRolePolicy)."""
    if not principals.delete_policy(tx, owner, name):
        raise _absent(name)


def compiled(tx: Tx, owner: str) -> Policy:
    """Compile what all policies of a user or a role say together."""
    return iam.union([iam.parse(document) for document in principals.policies(tx, owner).values()])


def _absent(name: str) -> errors.EntityNotFound:
    return errors.EntityNotFound(f"The policy with name {name} cannot be found.")
