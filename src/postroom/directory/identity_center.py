"""Applications that stand for this server in IAM Identity Center: records of the account, in the registry, of their name and instance."""

import re

from postroom.model import errors, ids
from postroom.storage.engine import Tx
from postroom.storage.queries import identity as rows

MOST_APPLICATIONS = 1000
_INSTANCE = re.compile(r"arn:([a-z-]+):sso:::instance/([A-Za-z0-9.-]+)")


def create(tx: Tx, *, account: str, name: str, instance_arn: str) -> str:
    """Add an application to an instance; gives its ARN. Registry (WorkMail API: CreateIdentityCenterApplication).

    Raises `InvalidParameter` when there are too many, the one error that the operation knows.
    """
    instance = _INSTANCE.fullmatch(instance_arn)
    if instance is None:
        raise errors.InvalidParameter(f"{instance_arn} is not the ARN of an instance of IAM Identity Center.")
    if rows.count_applications(tx) >= MOST_APPLICATIONS:
        raise errors.InvalidParameter(f"An account may have {MOST_APPLICATIONS} applications for IAM Identity Center.")
    arn = f"arn:{instance[1]}:sso::{account}:application/{instance[2]}/{ids.new_identity_application_id()}"
    rows.insert_application(tx, arn, instance_arn=instance_arn, name=name)
    return arn


def require(tx: Tx, arn: str, instance_arn: str) -> None:
    """Raise `ResourceNotFound` unless an application was made by this server, in this instance. Registry."""
    found = rows.find_application(tx, arn)
    if found is None or found[0] != instance_arn:
        raise errors.ResourceNotFound(f"There is no application {arn} of the instance {instance_arn}.")


def delete(tx: Tx, arn: str) -> None:
    """Remove an application, which need not be there; organizations that name it go on. Registry.

    WorkMail API: DeleteIdentityCenterApplication
    """
    rows.delete_application(tx, arn)


def store_of(identity_user: str | None) -> str | None:
    """Give the identity store of a user of IAM Identity Center, where the user's id begins with its number."""
    number, _, rest = (identity_user or "").partition("-")
    return f"d-{number}" if len(number) == 10 and rest else None
