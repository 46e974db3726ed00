"""The queue: every row is one message for one recipient, and is in one of four states.

    waiting   holder ''        due_at in the future   until the next attempt
    due       any holder       due_at in the past     anybody may lease it
    leased    holder's name    due_at in the future   the end of the lease, renewed while the holder lives
    held      held_by a name   due_at never           until somebody releases or drops it

A row leaves in one of three ways, each one transaction: delivered (the row goes), failed for good (the row goes and a
bounce comes), or put back with a later time. A crash at any moment leaves the row leased, and so due again by itself a
minute later; the next hop may then get a second copy, never none. Between organizations of this server not even that:
the delivery notes the row's number in the same transaction, and a repetition finds the note.

What is due is leased by destination (`destinations`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from postroom.mailflow import destinations
from postroom.mailflow.assessment import UNKNOWN, Assessment, pack, unpack
from postroom.mailflow.envelopes import NOTHING_SAID, Envelope, Wish
from postroom.mailflow.routes import ANYHOW
from postroom.model.addresses import domain_key
from postroom.storage.engine import Tx
from postroom.storage.queries import destinations as destination_rows
from postroom.storage.queries import queue as queries

TOPIC = "queue"
LEASE = destinations.CLAIM
"""Seconds for which a row is leased; renewed three times as often."""
LIFETIME = 5 * 86_400.0
"""Seconds after which an undelivered message goes back (RFC 5321 §4.5.4.1)."""
SHORT_LIFETIME = 86_400.0
"""The same for what nobody has written: automatic replies and the like."""
WARNING = 4 * 3600.0
"""Seconds after which its author is told that a message is delayed."""
NEVER = queries.NEVER
delay = destinations.delay
_REMEMBERED = 2 * LIFETIME


@dataclass(frozen=True, slots=True)
class Copy:
    """One leased row."""

    number: int
    recipient: str
    attempts: int
    last_reply: str
    warned: bool
    wish: Wish = NOTHING_SAID


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message for one or more recipients in one domain, leased; `queued_at` in epoch seconds, `lifetime` in seconds."""

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
    assessment: Assessment = UNKNOWN
    destination: str = ""
    returns: str = ""
    envelope_id: str = ""
    require_tls: bool = False
    lifetime: float = LIFETIME
    sealer: str = ""

    @property
    def envelope(self) -> Envelope:
        """The envelope in which its copies go on."""
        return Envelope(
            self.sender,
            tuple(copy.recipient for copy in self.copies),
            self.eight_bit,
            self.international,
            returns=self.returns,
            envelope_id=self.envelope_id,
            wishes={copy.recipient: copy.wish for copy in self.copies if copy.wish != NOTHING_SAID},
            require_tls=self.require_tls,
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds mail back, and why."""

    by: str
    reason: str = ""


def enqueue(
    tx: Tx,
    envelope: Envelope,
    content: int,
    *,
    size: int,
    assessment: Assessment,
    author: str = "",
    trace: str = "",
    lifetime: float = LIFETIME,
    via: Mapping[str, str] | None = None,
    hold: Hold | None = None,
    sealer: str = "",
) -> int:
    """Queue a kept content for the envelope's recipients and wake the carrier; gives the message's id.

    `assessment` is what is known of the letter: `OURS` only of what has been written here, as that is signed. `trace` is its id in the
    message flow, '' for what is in none. `via` names next hops other than a recipient's domain, by recipient; with a `hold` nothing leaves
    until it is released. `sealer` is the mail domain of ours that passes on what others wrote, and seals it.
    """
    queued_at = max(tx.now, envelope.hold_until)
    due_at = NEVER if hold else queued_at
    names = via or {}
    anyhow = ANYHOW if envelope.tls_optional and not envelope.require_tls else ""
    recipients = [
        {
            "recipient": address,
            "domain": domain_of(address),
            "destination": names.get(address) or anyhow + domain_of(address),
            "due_at": due_at,
            "notice_at": queued_at + min(WARNING, lifetime),
            "held_by": hold.by if hold else "",
            "held_for": hold.reason if hold else "",
            "notify": envelope.wish(address).notify,
            "original": envelope.wish(address).original,
        }
        for address in dict.fromkeys(envelope.recipients)
    ]
    message = queries.insert(
        tx,
        message={
            "content": content,
            "size": size,
            "sender": envelope.sender,
            "author": author,
            "trace": trace,
            "assessment": pack(assessment),
            "eight_bit": int(envelope.eight_bit),
            "international": int(envelope.international),
            "queued_at": queued_at,
            "returns": envelope.returns,
            "envelope_id": envelope.envelope_id,
            "require_tls": int(envelope.require_tls),
            "lifetime": lifetime,
            "sealer": sealer,
        },
        recipients=recipients,
    )
    for name in dict.fromkeys(str(recipient["destination"]) for recipient in recipients):
        destinations.announce(tx, name, due_at)
    tx.changes.wake(TOPIC)
    return message


def due(tx: Tx, limit: int) -> list[tuple[str, bool]]:
    """List destinations of which something is due, longest due first, and whether each is out of reach, as far as is known."""
    return [(name, blocked_until > 0) for name, blocked_until in destination_rows.due(tx, limit)]


def lease(tx: Tx, holder: str, destination: str, limit: int, *, claimed: bool = False) -> tuple[list[Parcel], bool]:
    """Take what is due of a destination, grouped by message and domain; tells whether more of it is due, which is claimed then.

    Who has not `claimed` it before gets nothing when another has by now.
    """
    known = destinations.find(tx, destination)
    if known is None or (not claimed and known.due_at > tx.now):
        return [], False
    found = queries.due(tx, destination, limit)
    rows = _take(tx, holder, found)
    return _parcels(tx.organization, rows), destinations.take(tx, destination)


def lease_overdue(tx: Tx, holder: str, destination: str, limit: int) -> list[Parcel]:
    """Take copies for a destination that is out of reach of which their senders are to hear."""
    return _parcels(tx.organization, _take(tx, holder, queries.overdue(tx, destination, limit)))


def _take(tx: Tx, holder: str, found: list[queries.Row]) -> list[queries.Row]:
    """Lease rows; those that are held were leased by somebody who died, and are put away."""
    held = [row[0] for row in found if row[-1]]
    if held:
        queries.lease(tx, held, holder="", until=NEVER)
    rows = [row[:-1] for row in found if not row[-1]]
    queries.lease(tx, [row[0] for row in rows], holder=holder, until=tx.now + LEASE)
    return sorted(rows, key=lambda row: (row[1], row[3], row[0]))


def behind(tx: Tx, after: int, limit: int) -> list[Parcel]:
    """List what is queued behind a row, whoever has leased it."""
    return _parcels(tx.organization, queries.behind(tx, after, limit))


def renew(tx: Tx, holder: str, numbers: Iterable[int], claimed: Iterable[str] = ()) -> int:
    """Keep leases and claims alive; counts the leases that are still held."""
    destination_rows.claim(tx, claimed, until=tx.now + LEASE)
    return queries.renew(tx, numbers, holder=holder, until=tx.now + LEASE)


def claim(tx: Tx, names: Iterable[str]) -> None:
    """Keep others from destinations of which something is due and for which the time has not come."""
    destination_rows.claim(tx, names, until=tx.now + LEASE)


def reclaim(tx: Tx, holder: str) -> None:
    """Take what holders have leased who cannot live any more."""
    for name in {*queries.reclaim(tx, holder=holder), *destination_rows.claimed(tx)}:
        destinations.let_go(tx, name)


def give_back(tx: Tx, holder: str, parcels: Iterable[Parcel]) -> None:
    """Give parcels back untried, due at once."""
    names = set()
    for parcel in parcels:
        names.add(parcel.destination)
        for copy in parcel.copies:
            queries.put_back(tx, copy.number, holder=holder, due_at=tx.now)
    for name in names:
        destinations.let_go(tx, name)


def done(tx: Tx, holder: str, copy: Copy) -> bool:
    """Remove a copy; False when another holder has it by now."""
    return queries.delete(tx, copy.number, holder=holder)


def release(tx: Tx, found: Iterable[tuple[int, str]]) -> int:
    """Let copies go that are held back, as if they were queued now; (number, destination) of each. Counts them."""
    held = list(found)
    for number, _ in held:
        queries.let_go(tx, number, warning=WARNING)
    for name in dict.fromkeys(destination for _, destination in held):
        destinations.announce(tx, name, tx.now)
    tx.changes.wake(TOPIC)
    return len(held)


def drop(tx: Tx, found: Iterable[tuple[int, str]]) -> int:
    """Throw copies away that no carrier has; (number, destination) of each. Counts those that were still there."""
    gone = [destination for number, destination in found if queries.delete(tx, number, holder="")]
    for name in dict.fromkeys(gone):
        destinations.leave(tx, name)
    return len(gone)


def postpone(tx: Tx, holder: str, parcel: Parcel, copy: Copy, reply: str, *, warned: bool) -> bool:
    """Try a copy again later; False when another holder has it by now."""
    age = tx.now - parcel.queued_at
    attempts = copy.attempts + 1
    wait = min(delay(attempts, age), max(parcel.lifetime - age, 1.0))
    return queries.put_back(
        tx,
        copy.number,
        holder=holder,
        due_at=tx.now + wait,
        attempts=attempts,
        last_reply=reply[:500],
        warned=int(warned),
        notice_at=parcel.queued_at + (parcel.lifetime if age >= WARNING else min(WARNING, parcel.lifetime)),
    )


def expired(age: float, lifetime: float = LIFETIME) -> bool:
    """Say whether a message of that age (seconds) goes back."""
    return age >= lifetime


def next_due(tx: Tx) -> float | None:
    """Give the seconds until something is due; None when nothing will be by itself."""
    due_at = destination_rows.next_due(tx)
    return None if due_at is None or due_at >= NEVER else max(due_at - tx.now, 0.0)


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
    first = rows[0]
    return Parcel(
        scope=scope,
        message=first[1],
        domain=first[3],
        destination=first[7],
        content=first[10],
        size=first[11],
        sender=first[12],
        author=first[13],
        eight_bit=bool(first[14]),
        international=bool(first[15]),
        queued_at=first[16],
        trace=first[17],
        assessment=unpack(first[18]),
        returns=first[19],
        envelope_id=first[20],
        require_tls=bool(first[21]),
        lifetime=first[22],
        sealer=first[23],
        copies=tuple(Copy(row[0], row[2], row[4], row[5], bool(row[6]), Wish(row[8], row[9])) for row in rows),
    )
