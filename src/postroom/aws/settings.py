"""How AWS is reached."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the clients."""

    enabled: bool = False
    """Whether AWS, or a service that speaks as AWS does, may be asked."""
    region: str = ""
    """The region to ask in; that of `[api]` when empty."""
    access_key_id: str = ""
    """The access key to sign with. Without one the usual places are looked through: environment, `~/.aws`, instance role."""
    secret_access_key: str = ""
    """The secret of that key."""
    endpoint: str = ""
    """The address of a service that speaks as AWS does, for every API that `endpoints` does not name."""
    endpoints: dict[str, str] = {}
    """Addresses by API, such as `s3 = "https://storage.example.com"`."""
    connect_seconds: float = 5.0
    """How long reaching AWS may take."""
    read_seconds: float = 60.0
    """How long AWS may be silent."""
