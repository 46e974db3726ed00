"""What an operator may set about mail on its way out."""

from typing import Literal

import msgspec

SES = "ses"
"""The name of the smarthost that is Amazon SES, asked by its API."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mail]` table. Times are seconds, sizes octets."""

    hostname: str = "localhost"
    """The name the server gives itself to others; should be its name in DNS."""
    smarthost: str = ""
    """`host:port` of a server that takes all mail for others, or `ses` for the API of Amazon SES; empty for the MX of each domain."""
    ses_configuration_set: str = ""
    """The configuration set of Amazon SES under which mail leaves by its API; the account's default when empty."""
    smarthost_user: str = ""
    """The name to sign in with at the smarthost; empty for none. A password is sent under TLS only."""
    smarthost_password: str = ""
    """The password to it."""
    smarthost_tls: Literal["opportunistic", "required", "implicit", "none"] = "opportunistic"
    """`required` is STARTTLS and `implicit` TLS from the start, both with a valid certificate. `opportunistic` takes TLS where it is
    offered, with any certificate, unless its TLSA records or the MTA-STS policy of its name demand more."""
    smarthost_ca: str = ""
    """A PEM file with the authorities to trust for the smarthost; the system's when empty."""
    port: int = 25
    """The port of other servers; another one in laboratories."""
    connections: int = 50
    """Connections to others that take mail at once."""
    attempts: int = 400
    """Connections that are being opened at once to servers that have not answered within the last hour; half of them to those known to be
    out of reach. They are not counted among `connections` until they are answered."""
    connections_per_domain: int = 4
    """Connections to the servers of one domain at once."""
    connections_to_smarthost: int = 10
    """Connections to the smarthost at once."""
    messages_per_connection: int = 50
    """Messages sent over one connection before it is closed."""
    keep_open: float = 1.0
    """How long a connection is kept for more mail before it is closed."""
    recipients_per_message: int = 100
    """Recipients given to another server in one transaction (RFC 5321 §4.5.3.1.8)."""
    in_flight: int = 500
    """Queued recipients that are being carried at once, beside one letter for each of the `attempts`."""
    in_flight_per_destination: int = 100
    """How many of them may be for one domain, or for one organization of this server."""
    connect_timeout: float = 30.0
    """How long connecting may take, for one address."""
    greeting_timeout: float = 300.0
    """How long the greeting and every reply to a command may take (RFC 5321 §4.5.3.2)."""
    data_timeout: float = 600.0
    """How long the reply to the message itself may take (RFC 5321 §4.5.3.2.6)."""
    memory: int = 67_108_864
    """Octets of messages held at once to be sent; one may always."""
    warn: bool = True
    """Whether an author is told after four hours that a message is delayed."""
    message_flow: bool = True
    """Whether every letter can be read for a day through the API `workmailmessageflow`, even if all have deleted it."""
