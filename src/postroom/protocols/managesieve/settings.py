"""What an operator may set about ManageSieve listeners and scripts."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[managesieve]` table. Times are seconds, sizes octets."""

    maximum_script: int = 65_536
    """The largest script."""
    maximum_scripts: int = 20
    """Scripts of one mailbox."""
    maximum_connections: int = 1_000
    """Connections at once."""
    connections_per_address: int = 20
    """Connections at once from one address (an IPv6 /64 counts as one), but for `trusted_networks`."""
    trusted_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Where one address may stand for many clients, as a proxy does."""
    maximum_errors: int = 20
    """Commands that are none, before the connection ends."""
    maximum_sign_ins: int = 5
    """Failed sign-ins before the connection ends."""
    sign_in_timeout: float = 60.0
    """How long a client may take to sign in."""
    idle_timeout: float = 1800.0
    """How long a client that has signed in may say nothing (RFC 5804 §1.2: at least 30 minutes)."""
    stall_timeout: float = 60.0
    """How long a client may leave answers unread."""
    clear_sign_in: bool = False
    """Take passwords without TLS. Only where something in front of the server speaks TLS to the clients."""
