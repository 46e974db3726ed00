"""Issuing access keys from the command line and at the first start: user, policy and key in one."""

from __future__ import annotations

from postroom.directory import principals
from postroom.model import errors
from postroom.model.principals import AccessKey
from postroom.policy import iam
from postroom.policy.iam import inline_policies
from postroom.storage.engine import Tx

POLICY_NAME = "postroom"


def issue(tx: Tx, *, name: str, policy: str = iam.ADMINISTRATOR) -> AccessKey:
    """Make an access key for a user who has this policy and no other, and who is made if there is none. Registry.

    Raises MalformedPolicy, InvalidParameter for a bad name, NameTaken for a user with other policies: their keys would otherwise be
    allowed more by it; LimitExceeded for a third key.
    """
    iam.parse(policy)
    user = principals.find_user(tx, name)
    if user is None:
        user = principals.create_user(tx, name=name)
        inline_policies.put(tx, user.id, POLICY_NAME, policy)
    elif [inline_policies.get(tx, user.id, held) for held in inline_policies.names(tx, user.id)] != [policy]:
        raise errors.NameTaken(f"There is a user {name} with other policies; make the key under another name, or give no policy.")
    return principals.create_key(tx, user)


def issue_another(tx: Tx, *, name: str) -> AccessKey:
    """Make an access key for a user who is there, with the policies the user has; raises EntityNotFound, LimitExceeded. Registry."""
    return principals.create_key(tx, principals.get_user(tx, name))
