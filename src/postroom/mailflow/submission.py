"""A user's letter leaves: the one place that decides under which name.

A letter is first completed outside any transaction (`prepare`: Bcc removed, Message-ID and Date added, the names it
bears read), then submitted in one: names and limits are checked against the directory as it is at that moment,
recipients in the organization get their copies, all others become rows of the queue.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate

import msgspec

from postroom.directory import addresses, domains
from postroom.formats import addresses as address_lists
from postroom.formats import headers
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import inbound, recipients
from postroom.mailflow.envelopes import Envelope, Limits, Source
from postroom.mailflow.trace import without_return_path
from postroom.model import errors
from postroom.model.actors import Actor
from postroom.model.addresses import domain_key, parse
from postroom.policy import sign_in
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import sending

DAY = 86_400


class Allowance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many recipients a user may write to in a day, UTC (WorkMail: quotas)."""

    external: int = 10_000
    """Recipients outside the organization, from a domain of its own."""
    test_domain: int = 200
    """Recipients anywhere, from the test domain an organization starts with."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A completed message and the addresses its From and Sender lines bear."""

    prepared: Prepared
    names: tuple[str, ...]


def own_addresses(tx: Tx, actor: Actor) -> tuple[str, ...]:
    """List, as keys, the addresses a user may write under: those registered for the user, no plus-addresses."""
    return tuple(parse(address).key for address in addresses.owned(tx, actor.user_id))


def require_own(own: Iterable[str], address: str) -> None:
    """Raise `SenderNotAllowed` unless the address is one of these keys."""
    try:
        key = parse(address).key
    except errors.InvalidParameter:
        key = ""
    if key not in own:
        raise errors.SenderNotAllowed(f"{address} is not an address of yours")


def prepare(store: Store, actor: Actor, source: Source, limits: Limits) -> Letter:
    """Complete and parse a message.

    Raises `MailLoop`, `MalformedMessage`, `MessageTooLarge`, and `SenderNotAllowed` when no one stands in From.
    """
    raw = source.read()
    inbound.check(raw, limits)
    names = bearers(raw)
    raw = complete(raw, domain=actor.email.rpartition("@")[2], now=store.now())
    prepared = contents.prepare(store, actor.scope, raw)
    inbound.check_attachments(prepared, limits)
    return Letter(prepared, names)


def bearers(raw: bytes) -> tuple[str, ...]:
    """List the addresses under whose names a message goes out; raises `MalformedMessage` (RFC 5322 §3.6.2).

    A line so long that not all of its names were read may hide some.
    """
    lines = [headers.find_all(raw, name) for name in ("From", "Sender", "Resent-From", "Resent-Sender")]
    if len(lines[0]) != 1 or len(lines[1]) > 1:
        raise errors.MalformedMessage("A message has one From line and at most one Sender line")
    if any(len(address_lists.parse(value)) >= address_lists.MAX_ADDRESSES for values in lines for value in values):
        raise errors.MalformedMessage("Too many names in a line")
    authors = headers.addresses(lines[0][0])
    if not authors:
        raise errors.MalformedMessage("The From line names nobody")
    others = [address for values in lines[1:] for value in values for address in headers.addresses(value)]
    return (*authors, *others)


def complete(raw: bytes, *, domain: str, now: float) -> bytes:
    """Remove Bcc and add what must not be missing (RFC 6409 §8, RFC 5322 §3.6.3).

    Of Return-Path lines only our own stays, which comes first (RFC 5321 §4.4).
    """
    letter = without_return_path(raw)
    own = raw[: len(raw) - len(letter)]
    for name in ("Bcc", "Resent-Bcc", "Return-Path"):
        letter = headers.remove(letter, name)
    raw = own + letter
    added = []
    if not headers.find_all(raw, "Message-ID"):
        added.append(f"Message-ID: <{secrets.token_hex(16)}@{domain_key(domain)}>".encode())
    if not headers.find_all(raw, "Date"):
        added.append(f"Date: {formatdate(now)}".encode())
    return _append_lines(raw, added) if added else raw


def submit(tx: Tx, actor: Actor, envelope: Envelope, letter: Letter, allowance: Allowance | None = None) -> None:
    """Send a user's letter, or none of it.

    Raises `SenderNotAllowed`, `EntityNotFound` for an unknown recipient in the organization, `LimitExceeded` when the
    day's recipients are used up, `OverQuota` when nobody could take it, `NotPermitted` to who would not get in any more
    or acts for reading alone.
    """
    if actor.read_only:
        raise errors.NotPermitted()
    sign_in.require_admitted(tx, actor)
    own = own_addresses(tx, actor)
    for name in ((envelope.sender,) if envelope.sender else ()) + letter.names:
        require_own(own, name)
    division = recipients.divide(tx, envelope.recipients)
    if division.unknown:
        raise errors.EntityNotFound(f"{division.unknown[0]} does not exist")
    _count(tx, actor, envelope.sender or letter.names[0], division, allowance or Allowance())
    inbound.distribute(tx, envelope, division, letter.prepared, author=actor.user_id)


def _count(tx: Tx, actor: Actor, sender: str, division: recipients.Division, allowance: Allowance) -> None:
    """Count today's recipients against the allowance."""
    if domains.get(tx, sender.rpartition("@")[2]).test:
        kind, number, limit = "test", len(division.owners) + len(division.elsewhere), allowance.test_domain
    else:
        kind, number, limit = "external", len(division.elsewhere), allowance.external
    if number and sending.add(tx, actor.user_id, int(tx.now // DAY), kind, number) > limit:
        raise errors.LimitExceeded(f"You may write to {limit} recipients a day; try again tomorrow")


def _append_lines(raw: bytes, lines: Sequence[bytes]) -> bytes:
    """Put lines at the end of the header."""
    header = headers.header_block(raw)
    end = len(header) - 2 if header.endswith(b"\r\n\r\n") else len(header)
    if not header.endswith(b"\r\n"):
        lines = (b"", *lines)
    return raw[:end] + b"".join(line + b"\r\n" for line in lines) + raw[end:]
