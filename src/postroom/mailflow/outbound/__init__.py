"""Mail on its way out: the carrier of the queue and its conversations with other servers."""

from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.settings import Settings

__all__ = ["Carrier", "Settings"]
