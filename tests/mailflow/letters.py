"""Letters to send in tests."""

from postroom.mailflow import inbound, queue, submission
from postroom.mailflow.assessment import Assessment, Authentication, Result, Spf
from postroom.mailflow.envelopes import Envelope, Limits
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.mailflow.queue import Parcel
from postroom.model.actors import Actor
from postroom.storage.engine import Store, Tx

LIMITS = Limits()
STRANGER = Assessment(Authentication("192.0.2.1", spf=Spf(Result.PASS, "far.test")))
"""A letter of somebody of far.test, by SPF."""


class Raw:
    """The octets of a message as a source."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def read(self) -> bytes:
        return self.raw


def letter(subject: str = "hello", *, sender: str = "stranger@far.test", more: str = "") -> bytes:
    """Write a letter as it stands after the trace lines were put before it."""
    return f"Return-Path: <{sender}>\r\nFrom: <{sender}>\r\nSubject: {subject}\r\n{more}\r\ntext of {subject}\r\n".encode()


def receive(
    store: Store,
    *recipients: str,
    scope: int = 1,
    raw: bytes | None = None,
    sender: str = "stranger@far.test",
    assessment: Assessment = STRANGER,
    terms: Terms = USUAL,
) -> None:
    """Let a stranger's letter come in."""
    envelope = Envelope(sender, recipients)
    prepared = inbound.prepare(store, scope, envelope, Raw(raw or letter(sender=sender)), LIMITS)
    with store.transaction(scope) as tx:
        inbound.deliver(tx, envelope, prepared, assessment, terms=terms)


def send(
    store: Store,
    actor: Actor,
    *recipients: str,
    raw: bytes | None = None,
    sender: str | None = None,
    terms: Terms = USUAL,
    international: bool = False,
    hold_until: float = 0.0,
    require_tls: bool = False,
) -> None:
    """Let a user's letter go out."""
    sender = actor.email if sender is None else sender
    envelope = Envelope(sender, recipients, international=international, hold_until=hold_until, require_tls=require_tls)
    prepared = submission.prepare(store, actor, Raw(raw or letter(sender=sender)), LIMITS)
    with store.transaction(actor.scope) as tx:
        submission.submit(tx, actor, envelope, prepared, terms)


def lease(tx: Tx, holder: str, limit: int = 10) -> list[Parcel]:
    """Lease what is due, whatever its destination."""
    return [parcel for name, _ in queue.due(tx, 1000) for parcel in queue.lease(tx, holder, name, limit)[0]]
