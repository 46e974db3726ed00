"""One transaction of the example organization to work in."""

from collections.abc import Iterator

import pytest

from postroom.model.organizations import Organization
from postroom.storage.engine import Store, Tx


@pytest.fixture
def tx(store: Store, organization: Organization) -> Iterator[Tx]:
    with store.transaction(organization.number) as opened:
        yield opened
