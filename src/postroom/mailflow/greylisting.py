"""Greylisting: the first letter from an unknown network is told to come again later, which senders of junk rarely do (RFC 6647).

Who has come again once is known, as a network (an IPv4 /24, an IPv6 /64), to the whole organization, and not asked again: its program tries
again, and that is all there is to learn. What is known stands in the organization's store, so that all processes know it; as digests, as it
tells who writes to whom.
"""

import hashlib
import ipaddress
from dataclasses import dataclass
from enum import Enum, auto

from postroom.mailflow.filters.settings import Greylisting
from postroom.storage.engine import Tx
from postroom.storage.queries import greylist

_FRESH_SECONDS = 86_400.0
"""How old the last sight of a known network may be before it is written down anew."""


class Step(Enum):
    """Let in, let in and write down the network, tell to come later, tell to come later and write that down."""

    PASS = auto()
    LEARN = auto()
    WAIT = auto()
    BEGIN = auto()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who comes: the keys of the network, and of it with sender and recipient."""

    network: str
    triplet: str


def caller(address: str, sender: str, recipient: str) -> Caller | None:
    """Give the keys of who comes; None for an address that is none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    network = str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 64), strict=False))
    return Caller(_digest(network), _digest(network, sender.casefold(), recipient.casefold()))


def exempt(settings: Greylisting, address: str, sender: str) -> bool:
    """Say whether somebody is never told to come again."""
    domain = sender.rpartition("@")[2].lower()
    if any(domain == known.lower() or domain.endswith(f".{known.lower()}") for known in settings.senders):
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in ipaddress.ip_network(text) for text in settings.networks)


def look(tx: Tx, settings: Greylisting, who: Caller) -> Step:
    """Say what to do with somebody, by what is known."""
    return decide(settings, tx.now, network=greylist.find(tx, who.network), triplet=greylist.find(tx, who.triplet))


def decide(
    settings: Greylisting, now: float, *, network: tuple[int, int, int] | None, triplet: tuple[int, int, int] | None
) -> Step:
    """Say what to do at a time; rows are (passed, first_at, seen_at), in epoch seconds."""
    if network is not None and now - network[2] <= settings.memory_seconds:
        return Step.PASS if now - network[2] < _FRESH_SECONDS else Step.LEARN
    if triplet is None or now - triplet[1] > settings.retry_seconds:
        return Step.BEGIN
    return Step.WAIT if now - triplet[1] < settings.delay_seconds else Step.LEARN


def note(tx: Tx, who: Caller, step: Step) -> None:
    """Write down what a step calls for."""
    if step is Step.LEARN:
        greylist.note(tx, who.network, passed=True, first_at=int(tx.now))
    elif step is Step.BEGIN:
        greylist.note(tx, who.triplet, passed=False, first_at=int(tx.now))


def purge(tx: Tx, settings: Greylisting, limit: int) -> int:
    """Forget some of what is too old; counts it."""
    gone = greylist.purge(tx, passed=False, before=tx.now - settings.retry_seconds, limit=limit)
    return gone + greylist.purge(tx, passed=True, before=tx.now - settings.memory_seconds, limit=limit)


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()[:32]
