"""Inbound DMARC settings by boto3."""

from postroom.policy import dmarc
from postroom.storage.engine import Store
from tests.conftest import make_organization

from .conftest import Api


def enforced(store: Store, scope: int = 1) -> bool:
    with store.transaction(scope, write=False) as tx:
        return dmarc.dmarc_enforced(tx)


def test_a_new_organization_enforces_and_may_stop_and_begin_again(api: Api, store: Store) -> None:
    make_organization(store, number=2, alias="other")
    assert api("describe_inbound_dmarc_settings") == {"Enforced": True}
    assert enforced(store)
    for wanted in (False, False, True):
        assert api("put_inbound_dmarc_settings", Enforced=wanted) == {}
        assert api("describe_inbound_dmarc_settings") == {"Enforced": wanted}
        assert enforced(store) is wanted
        assert enforced(store, 2)
