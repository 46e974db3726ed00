"""A smarthost that is reached by an API in the place of SMTP, such as Amazon SES.

It stands where a connection stands: a parcel goes in, and for each copy a verdict comes out. Such a service confirms no deliveries, takes
only addresses in ASCII, and wants letters in seven bits.
"""

from collections.abc import Sequence
from typing import Protocol

from postroom.mailflow import verdicts
from postroom.mailflow.outbound.link import Results
from postroom.mailflow.queue import Copy, Parcel
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.model import errors

MOST_RECIPIENTS = 50
"""Recipients of one request."""
NAME = "Amazon SES"


class Relay(Protocol):
    """What takes letters; not inside a transaction."""

    async def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> str:
        """Hand a letter over; gives what it is known by there. Raises `LetterRefused` or `TryLater`."""


class RelayLink:
    """Hands parcels to a relay."""

    alive = True
    eight_bit = False
    host = NAME

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.sent = 0

    async def send(self, parcel: Parcel, raw: bytes) -> Results:
        """Hand a message over, in as many requests as it needs, and say what became of each copy."""
        self.sent += 1
        if parcel.require_tls:
            refused = verdicts.failed("5.7.30", "REQUIRETLS support required", NAME)
            return [(copy, refused) for copy in parcel.copies]
        foreign = [copy for copy in parcel.copies if not copy.recipient.isascii() or not parcel.sender.isascii()]
        results: Results = [(copy, verdicts.failed("5.6.7", f"{NAME} takes no internationalized addresses", NAME)) for copy in foreign]
        copies = [copy for copy in parcel.copies if copy not in foreign]
        for at in range(0, len(copies), MOST_RECIPIENTS):
            part = copies[at : at + MOST_RECIPIENTS]
            verdict = await self._hand_over(parcel.sender, part, raw)
            results += [(copy, verdict) for copy in part]
        return results

    async def quit(self) -> None:
        """Say goodbye, which nobody waits for."""

    async def _hand_over(self, sender: str, copies: Sequence[Copy], raw: bytes) -> Verdict:
        recipients = [copy.recipient for copy in copies]
        try:
            known = await self._relay.send(sender, recipients, raw)
        except errors.LetterRefused as error:
            return verdicts.failed("5.6.0", error.text, NAME)
        except errors.TryLater as error:
            return verdicts.deferred("4.4.0", error.text, NAME)
        return Verdict(Fate.DELIVERED, "2.0.0", f"Taken as {known}", NAME, tls="HTTPS")
