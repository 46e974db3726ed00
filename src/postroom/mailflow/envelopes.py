"""The envelope of a letter, and the limits it has to keep."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends and who receives; `sender` is '' for the null reverse-path (RFC 5321 §2.3.1)."""

    sender: str
    recipients: tuple[str, ...]
    eight_bit: bool = False
    international: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may have."""

    hops: int = 50
    attachments: int = 500


class Source(Protocol):
    """Where the octets of a message come from, when they are wanted."""

    def read(self) -> bytes:
        """Give the whole message."""
