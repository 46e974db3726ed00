"""The queue: every row is one message for one recipient, and is in one of three states.

    waiting   holder ''        due_at in the future   until the next attempt
    due       any holder       due_at in the past     anybody may lease it
    leased    holder's name    due_at in the future   the end of the lease, renewed while the holder lives

A row leaves in one of three ways, each one transaction: delivered (the row goes), failed for good (the row goes and a
bounce comes), or put back with a later time. A crash at any moment leaves the row leased, and so due again by itself a
minute later; the next hop may then get a second copy, never none. Between organizations of this server not even that:
the delivery notes the row's number in the same transaction, and a repetition finds the note.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from postroom.mailflow.assessment import OURS, Assessment, pack, unpack
from postroom.mailflow.envelopes import Envelope
from postroom.model.addresses import domain_key
from postroom.storage.engine import Tx
from postroom.storage.queries import queue as queries

TOPIC = "queue"
LEASE = 60.0
"""Seconds for which a row is leased; renewed three times as often."""
LIFETIME = 5 * 86_400.0
"""Seconds after which an undelivered message goes back (RFC 5321 §4.5.4.1)."""
WARNING = 4 * 3600.0
"""Seconds after which its author is told that a message is delayed."""
_FIRST = (300.0, 600.0, 1200.0, 2400.0)
_REMEMBERED = 2 * LIFETIME


@dataclass(frozen=True, slots=True)
class Copy:
    """One leased row."""

    number: int
    recipient: str
    attempts: int
    last_reply: str
    warned: bool


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message for one or more recipients in one domain, leased; `queued_at` in epoch seconds."""

    scope: int
    message: int
    domain: str
    content: int
    size: int
    sender: str
    author: str
    eight_bit: bool
    international: bool
    queued_at: float
    copies: tuple[Copy, ...]
    trace: str = ""
    assessment: Assessment = OURS

    @property
    def envelope(self) -> Envelope:
        """The envelope in which its copies go on."""
        return Envelope(self.sender, tuple(copy.recipient for copy in self.copies), self.eight_bit, self.international)


def enqueue(
    tx: Tx, envelope: Envelope, content: int, *, size: int, author: str = "", trace: str = "", assessment: Assessment = OURS
) -> int:
    """Queue a kept content for the envelope's recipients and wake the carrier; gives the message's id.

    `trace` is the letter's id in the message flow, '' for what is in none; `assessment` what is known of a stranger's letter.
    """
    message = queries.insert(
        tx,
        content=content,
        size=size,
        sender=envelope.sender,
        author=author,
        trace=trace,
        assessment=pack(assessment),
        eight_bit=envelope.eight_bit,
        international=envelope.international,
        recipients=[(address, domain_of(address)) for address in dict.fromkeys(envelope.recipients)],
    )
    tx.changes.wake(TOPIC)
    return message


def lease(tx: Tx, holder: str, limit: int) -> list[Parcel]:
    """Take what is due, grouped by message and domain."""
    rows = queries.lease(tx, holder=holder, until=tx.now + LEASE, limit=limit)
    return _parcels(tx.organization, rows)


def behind(tx: Tx, after: int, limit: int) -> list[Parcel]:
    """List what is queued behind a row, whoever has leased it."""
    return _parcels(tx.organization, queries.behind(tx, after, limit))


def renew(tx: Tx, holder: str, numbers: Iterable[int]) -> int:
    """Keep leases alive; counts those still held."""
    return queries.renew(tx, numbers, holder=holder, until=tx.now + LEASE)


def release(tx: Tx, holder: str, copies: Iterable[Copy]) -> None:
    """Give copies back untried, due at once."""
    for copy in copies:
        queries.put_back(tx, copy.number, holder=holder, due_at=tx.now, attempts=copy.attempts, reply=copy.last_reply, warned=copy.warned)


def done(tx: Tx, holder: str, copy: Copy) -> bool:
    """Remove a copy; False when another holder has it by now."""
    return queries.delete(tx, copy.number, holder=holder)


def postpone(tx: Tx, holder: str, copy: Copy, reply: str, *, age: float, warned: bool) -> None:
    """Try a copy again later; `age` of its message in seconds."""
    attempts = copy.attempts + 1
    wait = min(delay(attempts, age), max(LIFETIME - age, 1.0))
    queries.put_back(tx, copy.number, holder=holder, due_at=tx.now + wait, attempts=attempts, reply=reply[:500], warned=warned)


def delay(attempts: int, age: float) -> float:
    """Give the seconds to wait after so many attempts at that age: 5, 10, 20, 40 minutes, hourly to 8 hours, then 4-hourly."""
    if attempts <= len(_FIRST):
        return _FIRST[attempts - 1]
    return 3600.0 if age < 8 * 3600 else 4 * 3600.0


def expired(age: float) -> bool:
    """Say whether a message of that age (seconds) goes back."""
    return age >= LIFETIME


def next_due(tx: Tx) -> float | None:
    """Give the seconds until something is due; None when the queue is empty."""
    due_at = queries.next_due(tx)
    return None if due_at is None else max(due_at - tx.now, 0.0)


def is_handed_over(tx: Tx, source: int, number: int) -> bool:
    """Tell whether a row of another scope's queue has been delivered here."""
    return queries.has_handover(tx, source, number)


def note_hand_over(tx: Tx, source: int, number: int) -> None:
    """Note that it has, and forget notes that nobody can ask for any more."""
    queries.delete_handovers(tx, before=tx.now - _REMEMBERED)
    queries.insert_handover(tx, source, number)


def domain_of(address: str) -> str:
    """Give the domain by which recipients are grouped; an address literal stays as it is."""
    domain = address.rpartition("@")[2]
    return domain if domain.startswith("[") else domain_key(domain)


def _parcels(scope: int, rows: list[queries.Row]) -> list[Parcel]:
    return [_parcel(scope, list(group)) for _, group in groupby(rows, key=lambda row: (row[1], row[3]))]


def _parcel(scope: int, rows: list[queries.Row]) -> Parcel:
    _, message, _, domain, _, _, _, content, size, sender, author, eight_bit, international, queued_at, trace, known = rows[0]
    return Parcel(
        scope=scope,
        message=message,
        domain=domain,
        content=content,
        size=size,
        sender=sender,
        author=author,
        eight_bit=bool(eight_bit),
        international=bool(international),
        queued_at=queued_at,
        trace=trace,
        assessment=unpack(known),
        copies=tuple(Copy(row[0], row[2], row[4], row[5], bool(row[6])) for row in rows),
    )
