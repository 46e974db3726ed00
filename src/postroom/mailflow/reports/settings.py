"""What can be set about reports."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[reports]` table."""

    dmarc: bool = True
    """Whether domains that ask for it in their DMARC record are told once a day what came to an organization under their name."""
    tls: bool = True
    """Whether domains that ask for it (TLS-RPT) are told once a day how connections to their servers were encrypted. Needs `address`."""
    address: str = ""
    """From whom reports of TLS come: an address in a mail domain of this server, whose keys sign them. Without one none are sent."""
    organization: str = ""
    """Who writes, in the words of a report; `hostname` of `[mail]` by default."""
    contact: str = ""
    """Where people may ask about reports; `address` by default, and of an organization without it the postmaster of its default domain."""
