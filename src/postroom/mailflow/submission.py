"""A user's letter leaves: the one place that decides under which name.

A letter is first completed outside any transaction (`prepare`: Bcc removed, Message-ID and Date added, the names it
bears read and its Sender line set), then submitted in one: names and limits are checked against the directory as it is
at that moment, recipients in the organization get their copies, all others become rows of the queue.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate

from postroom.formats import headers
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import authorship, distribution, inbound, judgement, outgoing, recipients
from postroom.mailflow.authorship import Heading, SenderLine
from postroom.mailflow.envelopes import Envelope, Limits, Source
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.recipients import Division
from postroom.mailflow.trace import without_return_path
from postroom.model import errors
from postroom.model.actors import Actor
from postroom.model.addresses import domain_key
from postroom.policy import sign_in
from postroom.policy.flow_rules import Action, Rule
from postroom.storage.engine import Store, Tx


@dataclass(frozen=True, slots=True)
class Letter:
    """A completed message, the addresses that stood in it as authors and senders, and what has become of its Sender line.

    `tls_optional` says that its header waives what its way demands of encryption.
    """

    prepared: Prepared
    heading: Heading
    sender_line: SenderLine
    tls_optional: bool = False


def require_sender(tx: Tx, actor: Actor, address: str) -> None:
    """Raise `SenderNotAllowed` unless a user may send from an address: one of the user's, or of somebody who has lent the name."""
    authorship.require_sender(authorship.own_addresses(tx, actor), authorship.held_by(tx, actor), address)


def prepare(store: Store, actor: Actor, source: Source, limits: Limits) -> Letter:
    """Complete and parse a message.

    Raises `MailLoop`, `MalformedMessage`, `MessageTooLarge`, and `SenderNotAllowed` for a name that is not the user's to use.
    """
    raw = source.read()
    inbound.check(raw, limits)
    heading = authorship.read(raw)
    line = _sender_line(store, actor, heading)
    raw = complete(_with_sender(raw, line, actor.email), domain=actor.email.rpartition("@")[2], now=store.now())
    prepared = contents.prepare(store, actor.scope, raw)
    inbound.check_attachments(prepared, limits)
    return Letter(prepared, heading, line, _waives_tls(raw))


def _waives_tls(raw: bytes) -> bool:
    """Say whether a letter bears the line `TLS-Required: No`, once (RFC 8689 §3)."""
    return [value.strip().lower() for value in headers.find_all(raw, "TLS-Required")] == [b"no"]


def _sender_line(store: Store, actor: Actor, heading: Heading) -> SenderLine:
    """Find what the Sender line has to say; the directory is asked only where a letter bears more than the user's primary address."""
    if authorship.bears_only(heading, actor.email):
        return SenderLine.AS_IT_IS
    with store.transaction(actor.scope, write=False) as tx:
        return authorship.decide(heading, authorship.own_addresses(tx, actor), authorship.held_by(tx, actor))


def _with_sender(raw: bytes, line: SenderLine, user: str) -> bytes:
    """Write into a message who sent it (RFC 5322 §3.6.2)."""
    if line is SenderLine.AS_IT_IS:
        return raw
    raw = headers.remove(raw, "Sender")
    return _append_lines(raw, [f"Sender: {user}".encode()]) if line is SenderLine.SET else raw


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


def submit(tx: Tx, actor: Actor, envelope: Envelope, letter: Letter, terms: Terms = outgoing.USUAL) -> None:
    """Send a user's letter, or none of it.

    Raises `SenderNotAllowed`, `EntityNotFound` for an unknown recipient in the organization, `LimitExceeded` when the
    day's recipients are used up, `OverQuota` when nobody could take it, `NotPermitted` to who would not get in any more
    or acts for reading alone.
    """
    if actor.read_only:
        raise errors.NotPermitted()
    sign_in.require_admitted(tx, actor)
    own, held = authorship.own_addresses(tx, actor), authorship.held_by(tx, actor)
    if envelope.sender:
        authorship.require_sender(own, held, envelope.sender)
    if authorship.decide(letter.heading, own, held) is not letter.sender_line:
        raise errors.TryLater("What you may send has just changed; try again")
    division = recipients.divide(tx, envelope.recipients)
    if division.unknown:
        raise errors.EntityNotFound(f"{division.unknown[0]} does not exist")
    rules = judgement.outgoing(tx, letter.prepared.summary.letterhead, envelope.recipients)
    division = _let_go(division, rules)
    hold = outgoing.count(
        tx,
        terms,
        actor.user_id,
        actor.email,
        sender=envelope.sender or letter.heading.authors[0],
        here=len(division.owners),
        elsewhere=len(division.elsewhere),
        octets=letter.prepared.size,
    )
    division = _keep_back(division, rules)
    envelope = replace(envelope, tls_optional=letter.tls_optional)
    if envelope.hold_until > tx.now:
        division = Division((), (*(target.address for target in division.here), *division.elsewhere), ())
    distribution.distribute(tx, envelope, division, letter.prepared, author=actor.user_id, rules=rules, terms=terms, hold=hold)
    judgement.return_to_author(tx, actor.email, envelope, letter.prepared, rules)


def _let_go(division: Division, rules: Mapping[str, Rule]) -> Division:
    """Leave out recipients to whom a rule lets no letter go; whoever is reached by way of a gateway is elsewhere."""
    away = {address for address, rule in rules.items() if rule.action is Action.GATEWAY}
    led = tuple(target.address for target in division.here if target.address in away)
    return _without(division, {Action.DROP, Action.BOUNCE}, rules, led)


def _keep_back(division: Division, rules: Mapping[str, Rule]) -> Division:
    """Leave out recipients whose letters wait for a hook."""
    return _without(division, {Action.LAMBDA}, {address: rule for address, rule in rules.items() if rule.waits})


def _without(division: Division, actions: Collection[Action], rules: Mapping[str, Rule], led: Sequence[str] = ()) -> Division:
    left = {address for address, rule in rules.items() if rule.action in actions}
    here = tuple(target for target in division.here if target.address not in left and target.address not in led)
    elsewhere = tuple(address for address in (*division.elsewhere, *led) if address not in left)
    return Division(here, elsewhere, ())


def _append_lines(raw: bytes, lines: Sequence[bytes]) -> bytes:
    """Put lines at the end of the header."""
    header = headers.header_block(raw)
    end = len(header) - 2 if header.endswith(b"\r\n\r\n") else len(header)
    if not header.endswith(b"\r\n"):
        lines = (b"", *lines)
    return raw[:end] + b"".join(line + b"\r\n" for line in lines) + raw[end:]
