"""What an operator may set about IMAP listeners."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[imap]` table. Times are seconds, sizes octets."""

    maximum_message: int = 41_943_040
    """The largest message an APPEND may bring (WorkMail: 40 MB)."""
    maximum_line: int = 65_536
    """The longest command line of a client that has signed in."""
    maximum_connections: int = 10_000
    """Connections at once."""
    connections_per_address: int = 200
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
    """How long a client that has signed in may say nothing (RFC 3501 §5.4: at least 30 minutes)."""
    stall_timeout: float = 180.0
    """How long a client may leave answers unread, or a literal that it announced unsent."""
    memory_for_literals: int = 33_554_432
    """Octets of unfinished literals held in memory, over all connections; beyond it they go to files at once."""
    spool_threshold: int = 262_144
    """Octets from which on a literal goes to an anonymous temporary file."""
    spool_limit: int = 4_294_967_296
    """Octets of unfinished literals in temporary files, over all connections; beyond it new ones are refused for the moment."""
    spool_folder: str = ""
    """Where the temporary files are, the system's place by default; a disk, since memory is what they save."""
    write_buffer: int = 1_048_576
    """Octets that may wait for a slow reader before its command is not carried on."""
    clear_sign_in: bool = False
    """Take passwords without TLS. Only where something in front of the server speaks TLS to the clients."""
