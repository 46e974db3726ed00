"""What the first start makes: an administrator's key to the API."""

from postroom.directory import principals
from postroom.policy import iam
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries.principals import AccessKey

ADMINISTRATOR = "administrator"


def administrator_key(store: Store) -> AccessKey | None:
    """Make the administrator's key unless there is any key; its secret is never shown again."""
    with store.transaction(REGISTRY) as tx:
        if principals.page(tx):
            return None
        return principals.create(tx, name=ADMINISTRATOR, policy=iam.ADMINISTRATOR)
