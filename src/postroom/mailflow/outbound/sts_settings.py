"""What an operator may set about MTA-STS, by which domains ask for encryption to their mail servers (RFC 8461)."""

from typing import Literal

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first five are about mail to others, the rest about mail to our own domains."""

    enabled: bool = True
    """Whether policies of other domains are fetched and obeyed."""
    ca: str = ""
    """A PEM file with the authorities to trust for policies and for the servers these name; the system's when empty."""
    seconds: float = 20.0
    """How long fetching a policy may take. Mail to a domain whose policy is not known yet waits for it."""
    cached: int = 20_000
    """Domains whose policies are kept; of more, those that nobody has written to for longest are forgotten."""
    port: int = 443
    """The port on which policies are asked for; another one in laboratories."""
    private_addresses: bool = False
    """Whether policies are asked for at addresses of private networks and of this machine. Turn it on in laboratories only."""
    mode: Literal["none", "testing", "enforce"] = "none"
    """What our own domains ask for: `enforce` that others send under TLS with a valid certificate or not at all, `testing` that they report
    where they could not. The web door serves it at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`; it counts where the domain has
    the TXT record at `_mta-sts.DOMAIN` that `postroom domains records DOMAIN` prints."""
    max_age: int = 604_800
    """For how many seconds others keep to it after they have fetched it; it takes as long to ask for less. A year at the most."""
    hosts: tuple[str, ...] = ()
    """The mail servers it names; `mail_host` of `[domains]` when empty. A star may stand for the first label."""
