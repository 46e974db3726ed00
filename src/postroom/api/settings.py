"""What the API lets one set."""

from __future__ import annotations

import msgspec

from postroom.api.audit import Audit
from postroom.api.operation import Facilities


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the gateway."""

    region: str = "us-east-1"
    """The region in ARNs, which clients must also sign for."""
    account: str = "000000000000"
    """The twelve-digit account number in ARNs."""
    body_bytes: int = 1024 * 1024
    """The largest request body."""
    buffered_bytes: int = 64 * 1024 * 1024
    """The most that all bodies on their way in may take together; more is told to come back later."""
    facilities: Facilities = Facilities()
    """What the program lends to operations."""
    audit: Audit | None = None
    """Where calls that are over are told."""
