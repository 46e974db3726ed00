"""What is set about availability providers."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How providers are reached."""

    private_addresses: bool = False
    """Whether the endpoint of a provider may have an address of a private network or of this machine. Link-local addresses, where
    clouds keep credentials, are never asked."""
    ca: str = ""
    """A PEM file of authorities that are trusted beside those of the machine."""
