"""A whole server whose time can be moved while its clients are connected."""

import time
from collections.abc import Iterator

import pytest

from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.servers import Serving, serving

DAY = 86_400.0


@pytest.fixture
def clock() -> Clock:
    """The time of the store: now, as signatures need it, until it is moved."""
    return Clock(float(int(time.time())))


@pytest.fixture
def server(store: Store, organization: Organization) -> Iterator[Serving]:
    """The server of the example organization."""
    with serving(store, organization) as opened:
        yield opened
