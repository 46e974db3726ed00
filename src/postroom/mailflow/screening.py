"""Finds out about a stranger's letter, by the network and before any transaction: who sent it, and whether it is wanted.

Nothing here lets a letter in or keeps it out; that is decided in the transaction (`inbound`), by what is found out here.
"""

from dataclasses import dataclass

from postroom.mailflow.assessment import Assessment
from postroom.mailflow.envelopes import Envelope, Source
from postroom.mailflow.filters.filters import Filters


@dataclass(frozen=True, slots=True)
class Arrival:
    """A stranger's letter at the door: who brings it, and the content, before which stand `ours` octets that this server has added.

    `size` counts all of them.
    """

    address: str
    hello: str
    envelope: Envelope
    source: Source
    ours: int
    size: int

    def read(self) -> bytes:
        """Give the message as it came."""
        return self.source.read()[self.ours :]


class Screening:
    """All the checks that ask others."""

    def __init__(self, filters: Filters | None = None) -> None:
        self.filters = filters or Filters()

    async def meet(self, address: str) -> str:
        """Say why a client may bring no mail, '' if it may."""
        return await self.filters.meet(address)

    async def assess(self, arrival: Arrival) -> Assessment:
        """Find out about a letter; never raises, and never takes long."""
        return Assessment(content=await self.filters.judge(arrival))
