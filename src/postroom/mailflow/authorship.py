"""Under whose names a letter leaves, and what its Sender line says of who really sent it.

A user writes under the addresses registered for the user, and under those of whoever has lent the name. SEND_AS lends it wholly: the letter
looks as if the owner had sent it, and a Sender line that names the user is taken off. SEND_ON_BEHALF lends the From line alone: a Sender
line names the user (RFC 5322 §3.6.2). Who holds both sends as the owner, unless the letter itself names the user as its sender.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum

from postroom.directory import addresses
from postroom.formats import addresses as address_lists
from postroom.formats import headers
from postroom.model import errors
from postroom.model.actors import Actor
from postroom.model.addresses import parse
from postroom.policy import permissions
from postroom.policy.permissions import NONE, SENDING, Permission
from postroom.storage.engine import Tx
from postroom.storage.queries import addresses as address_rows

MAX_LENT = 50
"""Addresses of others that one letter may bear."""

Held = Callable[[str], frozenset[Permission]]
"""Says what the user may do under the name of whoever has an address; nothing where nobody has it."""


class SenderLine(Enum):
    """What becomes of a letter's Sender line."""

    AS_IT_IS = "as it is"
    REMOVED = "removed"
    SET = "set to the user"


@dataclass(frozen=True, slots=True)
class Heading:
    """The addresses that a letter's lines bear: From, Sender, and those of Resent-From and Resent-Sender."""

    authors: tuple[str, ...]
    senders: tuple[str, ...] = ()
    resenders: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.authors + self.senders + self.resenders


def read(raw: bytes) -> Heading:
    """Read under whose names a message goes out; raises `MalformedMessage` (RFC 5322 §3.6.2, §3.6.6).

    A line so long that not all of its names were read may hide some, and a name without an address may pass for one where it is shown.
    """
    lines = [headers.find_all(raw, name) for name in ("From", "Sender", "Resent-From", "Resent-Sender")]
    if len(lines[0]) != 1 or len(lines[1]) > 1:
        raise errors.MalformedMessage("A message has one From line and at most one Sender line")
    parsed = [address_lists.parse(value) for values in lines for value in values]
    if any(len(mailboxes) >= address_lists.MAX_ADDRESSES for mailboxes in parsed):
        raise errors.MalformedMessage("Too many names in a line")
    heading = Heading(_addresses(lines[0]), _addresses(lines[1]), _addresses(lines[2] + lines[3]))
    if not heading.authors:
        raise errors.MalformedMessage("The From line names nobody")
    if any(mailbox.halved for mailboxes in parsed for mailbox in mailboxes):
        raise errors.MalformedMessage("A line names somebody without an address")
    return heading


def decide(heading: Heading, own: Collection[str], held: Held) -> SenderLine:
    """Say whether a user may send a letter, and with which Sender line; `own` are the keys of the user's addresses.

    Raises `SenderNotAllowed` at the first name that is neither the user's nor lent.
    """
    lent = [_require(address, held, SENDING) for address in _others(heading.authors, own)]
    for address in _others(heading.resenders, own):
        _require(address, held, {Permission.SEND_AS})
    told = bool(heading.senders) and not _others(heading.senders, own)
    if not all(Permission.SEND_AS in permitted for permitted in lent):
        return SenderLine.AS_IT_IS if told and len(heading.senders) == 1 else SenderLine.SET
    for address in _others(heading.senders, own):
        _require(address, held, {Permission.SEND_AS})
    hidden = len(lent) == len(heading.authors) and not any(Permission.SEND_ON_BEHALF in permitted for permitted in lent)
    return SenderLine.REMOVED if told and hidden else SenderLine.AS_IT_IS


def bears_only(heading: Heading, address: str) -> bool:
    """Say whether no other address than this one stands in a letter's lines."""
    return all(name == address for name in heading.names)


def own_addresses(tx: Tx, actor: Actor) -> tuple[str, ...]:
    """List, as keys, the addresses registered for a user, no plus-addresses."""
    return tuple(parse(address).key for address in addresses.owned(tx, actor.user_id))


def is_own(own: Collection[str], address: str) -> bool:
    """Say whether an address is among these keys."""
    return _key(address) in own


def held_by(tx: Tx, actor: Actor) -> Held:
    """Give the way to ask what a user may do under the name of others; each owner is asked about once, and not too many are."""
    owners: dict[str, str | None] = {}
    known: dict[str | None, frozenset[Permission]] = {None: NONE}

    def held(address: str) -> frozenset[Permission]:
        key = _key(address)
        if key not in owners:
            if len(owners) >= MAX_LENT:
                raise errors.MalformedMessage(f"A message may bear {MAX_LENT} addresses of others")
            owners[key] = address_rows.find_owner(tx, key) if key else None
        owner = owners[key]
        if owner not in known:
            known[owner] = permissions.held(tx, actor.user_id, owner) if owner else NONE
        return known[owner]

    return held


def require_sender(own: Collection[str], held: Held, address: str) -> None:
    """Raise `SenderNotAllowed` unless the user may stand in the envelope with an address, to which failures are reported."""
    if not is_own(own, address):
        _require(address, held, SENDING)


def _require(address: str, held: Held, wanted: Collection[Permission]) -> frozenset[Permission]:
    permitted = held(address)
    if permitted.isdisjoint(wanted):
        raise errors.SenderNotAllowed(f"{address} is not an address of yours")
    return permitted


def _others(given: Iterable[str], own: Collection[str]) -> list[str]:
    return [address for address in given if not is_own(own, address)]


def _key(address: str) -> str:
    try:
        return parse(address).key
    except errors.InvalidParameter:
        return ""


def _addresses(values: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(address for value in values for address in headers.addresses(value))
