"""What the first start makes: an administrator's key to the API."""

from postroom.directory import principals
from postroom.model.principals import AccessKey
from postroom.policy.iam import access_keys
from postroom.storage.engine import REGISTRY, Store

ADMINISTRATOR = "administrator"


def administrator_key(store: Store) -> AccessKey | None:
    """Make the administrator's key unless there is any key; its secret is never shown again."""
    with store.transaction(REGISTRY) as tx:
        if principals.page(tx):
            return None
        return access_keys.issue(tx, name=ADMINISTRATOR)
