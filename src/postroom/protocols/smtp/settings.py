"""What an operator may set about SMTP listeners."""

from typing import Literal

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[smtp]` table. Times are seconds, sizes octets; the defaults are RFC 5321's and WorkMail's limits."""

    hostname: str = "localhost"
    """The name the server gives itself in its greeting and in Received lines; should be its name in DNS."""
    postmaster: str = ""
    """The address here that gets mail for `postmaster` and `abuse` of the server and of domains in which nobody has them."""
    maximum_message: int = 41_943_040
    """The largest message taken, in MIME form (WorkMail: 40 MB)."""
    maximum_recipients: int = 500
    """Recipients of one message (WorkMail: 500)."""
    hold_seconds: int = 2_592_000
    """How long a letter of our own user may be told to wait before it leaves (RFC 4865), in seconds; 0 for not at all."""
    maximum_attachments: int = 500
    """Attachments of one message (WorkMail: 500)."""
    maximum_hops: int = 50
    """Received lines at which a message is taken to be in a loop (RFC 5321 §6.3)."""
    dmarc_reject: Literal["drop", "refuse"] = "drop"
    """What is done with letters that the domain in From wants rejected (DMARC): `drop` takes them and lets no mailbox have them, as
    WorkMail does; `refuse` answers 550 where nobody in another organization of this server was to get them."""
    maximum_connections: int = 1000
    """Connections at once. From four fifths of it on, waiting clients get `stress_timeout` only."""
    connections_per_address: int = 100
    """Connections at once from one address (an IPv6 /64 counts as one), but for `trusted_networks`."""
    trusted_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Where one address may stand for many clients, as a proxy does."""
    connections_per_minute: int = 300
    """Connections that clients at one address may open in a minute. An IPv6 /64 is one, and `trusted_networks` do not count."""
    messages_per_minute: int = 600
    """Messages that they may bring in a minute; what is more is told to come later."""
    messages_per_minute_of_sender: int = 300
    """Those of them with one sender; only from strangers."""
    recipients_per_minute: int = 3000
    """Recipients that they may name in a minute."""
    unknown_recipients_per_minute: int = 50
    """Recipients that do not exist which they may name in a minute; who names more and few that do exist is hung up on."""
    messages_per_minute_of_user: int = 600
    """Messages that a user who has signed in may send in a minute, from wherever; what is more is told to come later (451)."""
    recipients_per_minute_of_user: int = 3000
    """Recipients that such a user may name in a minute."""
    unknown_recipients_per_minute_of_user: int = 50
    """Recipients here that do not exist which such a user may name in a minute; who names more hears of none until later (450)."""
    maximum_errors: int = 20
    """Commands refused before the connection ends with 421."""
    maximum_idle_commands: int = 200
    """EHLO, NOOP, RSET, VRFY and the like between two messages before the connection ends with 421."""
    command_timeout: float = 300.0
    """How long a whole command line may take (RFC 5321 §4.5.3.2.7)."""
    message_timeout: float = 600.0
    """How long the octets of a message may take, beside what `minimum_rate` allows (RFC 5321 §4.5.3.2.5)."""
    minimum_rate: float = 1024.0
    """Octets a second that buy more time for a large message over a slow line."""
    stress_timeout: float = 10.0
    """What replaces `command_timeout` while connections are scarce."""
    memory_for_bodies: int = 33_554_432
    """Octets of unfinished messages held in memory, over all connections; beyond it they go to files at once."""
    spool_threshold: int = 262_144
    """Octets from which on an unfinished message goes to an anonymous temporary file."""
    spool_limit: int = 4_294_967_296
    """Octets of unfinished messages in temporary files, over all connections; beyond it 452."""
    spool_folder: str = ""
    """Where the temporary files are, the system's place by default; a disk, since memory is what they save."""
    memory_for_delivery: int = 50_331_648
    """Octets of finished messages that are parsed and stored at the same time; one may always."""
