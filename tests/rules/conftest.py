"""The gateway on a real listener, as the tests of the API have it; but new domains have to prove themselves."""

import pytest

from postroom.api.settings import Settings
from tests.api.conftest import ACCOUNT, REGION, clock, declared_errors, gate

__all__ = ["clock", "declared_errors", "gate"]


@pytest.fixture
def settings() -> Settings:
    return Settings(region=REGION, account=ACCOUNT)
