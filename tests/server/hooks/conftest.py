"""An organization with people, and a hook that rules call."""

from collections.abc import Iterator
from typing import Any

import pytest

from postroom.mailflow.events import MailEvent
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from tests.hook_server import Hook, hook_server
from tests.people import People, populate


@pytest.fixture
def people(store: Store, organization: Organization) -> People:
    return populate(store, organization)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server() as running:
        yield running


@pytest.fixture
def told(store: Store) -> list[MailEvent]:
    """What transactions tell."""
    events: list[Any] = []
    store.notifier.record(events.extend)
    return events
