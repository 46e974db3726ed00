"""The envelope of a letter, and the limits it has to keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from postroom.formats import xtext


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sender wants to hear of one recipient (RFC 3461 §4.1, §4.2).

    `notify` is `NEVER` or some of `SUCCESS,FAILURE,DELAY`, `original` the address that the sender first wrote to, with its type and in
    xtext, as in `rfc822;x@example.com`; each is '' when nothing was said.
    """

    notify: str = ""
    original: str = ""

    @property
    def shown(self) -> str:
        """The address that the sender first wrote to, as a report shows it (RFC 3464 §2.3.1)."""
        kind, _, address = self.original.partition(";")
        return f"{kind};{xtext.decode(address)}" if address else ""

    @property
    def success(self) -> bool:
        """Say whether a delivery is to be confirmed."""
        return "SUCCESS" in self.notify

    @property
    def failure(self) -> bool:
        """Say whether a failure is to be told, as it is where nothing was said."""
        return not self.notify or "FAILURE" in self.notify

    @property
    def delay(self) -> bool:
        """Say whether a delay is to be told; where nothing was said, that is ours to decide."""
        return not self.notify or "DELAY" in self.notify


NOTHING_SAID = Wish()
MOST_RETURNED = 1_048_576
"""Octets of a letter that comes back whole; of a larger one its header does."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends and who receives; `sender` is '' for the null reverse-path (RFC 5321 §2.3.1).

    What the sender wants to hear: `returns` is how much of the letter a report brings back, `FULL` or `HDRS`, `envelope_id` what the
    sender calls the envelope, in xtext, both '' when nothing was said, and `wishes` are by recipient (RFC 3461). With `require_tls` the
    letter goes nowhere in plain (RFC 8689); it does not go on before `hold_until`, epoch seconds (RFC 4865). With `tls_optional`
    it is rather to arrive than to heed what its way demands of encryption (RFC 8689 §3); that has no say beside `require_tls`.
    """

    sender: str
    recipients: tuple[str, ...]
    eight_bit: bool = False
    international: bool = False
    returns: str = ""
    envelope_id: str = ""
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    require_tls: bool = False
    hold_until: float = 0.0
    tls_optional: bool = False

    @property
    def shown_id(self) -> str:
        """What the sender calls the envelope, as a report shows it (RFC 3464 §2.2.1)."""
        return xtext.decode(self.envelope_id)

    def comes_back_whole(self, size: int) -> bool:
        """Say whether a report of a failure brings all of a letter: where its sender wants that and it is not large (RFC 3461 §4.3).

        Of one that was to go nowhere in plain only the header comes back (RFC 8689 §5).
        """
        return self.returns == "FULL" and not self.require_tls and size <= MOST_RETURNED

    def wish(self, recipient: str) -> Wish:
        """Give what the sender wants to hear of a recipient."""
        return self.wishes.get(recipient, NOTHING_SAID)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may have."""

    hops: int = 50
    attachments: int = 500


class Source(Protocol):
    """Where the octets of a message come from, when they are wanted."""

    def read(self) -> bytes:
        """Give the whole message."""
