"""Issuing access keys: a key whose policy document is malformed is never made."""

from postroom.directory import principals
from postroom.policy import iam
from postroom.storage.engine import Tx
from postroom.storage.queries.principals import AccessKey


def issue(tx: Tx, *, name: str, policy: str = iam.ADMINISTRATOR) -> AccessKey:
    """Make an access key with a policy document; raises InvalidParameter when it is malformed. Registry."""
    iam.parse(policy)
    return principals.create(tx, name=name, policy=policy)
