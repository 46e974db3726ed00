"""What leaves under a user's name is counted here, whether the user submits it or a script sends it.

It has to be within the day's allowance, and not so much at once that somebody else must be at it. From the moment when it is, the user's
mail for others is queued but held (`held`); the administrators are told by the log, an event, and a letter, once. Mail for colleagues is
not held.
"""

from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter

from postroom.formats import compose
from postroom.mailbox import contents
from postroom.mailflow import allowance, events, flow, held, queue, recipients
from postroom.mailflow.allowance import Allowance
from postroom.mailflow.assessment import OURS
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.queue import Hold
from postroom.policy import spikes
from postroom.policy.spikes import Settings, Spike, Watch
from postroom.storage.engine import Tx

SPIKES = Counter("postroom_mailflow_spikes", "Users whose mail was held back because they wrote to far more others than before")
log = structlog.get_logger("postroom.mailflow")


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms users send: how much in a day, when it is suspicious, and who is postmaster where a domain has none, '' for nobody.

    `leave_at` is where members leave groups by a link in the letters that these send on: the start of an address, '' for nowhere.
    """

    allowance: Allowance = field(default_factory=Allowance)
    spikes: Settings = field(default_factory=Settings)
    postmaster: str = ""
    leave_at: str = ""


USUAL = Terms()


def count(tx: Tx, terms: Terms, user: str, email: str, *, sender: str, here: int, elsewhere: int, octets: int) -> Hold | None:
    """Count a letter by its recipients in the organization and elsewhere; say whether it has to wait, and why.

    `user` is who sends it, by id, `email` the user's own address, `sender` that under which it is sent. Raises `LimitExceeded`.
    """
    watch = spikes.find(tx, user) if elsewhere else None
    if watch is not None and watch.held:
        spikes.keep(tx, watch, octets, terms.spikes)
    allowance.spend(tx, user, sender, terms.allowance, here=here, elsewhere=elsewhere)
    if not elsewhere:
        return None
    spike = spikes.count(tx, user, elsewhere, terms.spikes)
    if watch is None and spike is not None and terms.spikes.enabled:
        watch = held.hold(tx, user, _reason(spike, terms.spikes))
        spikes.keep(tx, watch, octets, terms.spikes)
        _tell(tx, terms, email, spike, watch)
    return held.of(watch)


def _reason(spike: Spike, settings: Settings) -> str:
    return f"{spike.recipients} recipients elsewhere in this hour, {spike.busiest} in the busiest of the {settings.days} days before"


def _tell(tx: Tx, terms: Terms, email: str, spike: Spike, watch: Watch) -> None:
    """Tell the administrators that a user's mail is held back from now on."""
    SPIKES.inc()
    log.warning("sender_held", scope=tx.organization, sender=email, recipients=spike.recipients, busiest=spike.busiest)
    events.sender_held(tx, flow.passing_id(tx), email, recipients=spike.recipients, busiest=spike.busiest)
    domain = email.rpartition("@")[2]
    for address in _administrators(tx, terms, domain):
        raw = compose.notice(
            sender=f"postmaster@{domain}",
            recipient=address,
            subject=f"Mail from {email} is held back",
            text=_text(email, watch),
            now=tx.now,
        )
        prepared = contents.written(tx, raw)
        envelope = Envelope("", (address,), eight_bit=not raw.isascii(), international=not address.isascii())
        queue.enqueue(tx, envelope, contents.keep(tx, prepared), size=prepared.size, assessment=OURS)


def _administrators(tx: Tx, terms: Terms, domain: str) -> tuple[str, ...]:
    if terms.spikes.tell:
        return terms.spikes.tell
    own = f"postmaster@{domain}"
    if recipients.resolve(tx, own) is not None:
        return (own,)
    return (terms.postmaster,) if terms.postmaster else ()


def _text(email: str, watch: Watch) -> str:
    return (
        f"{email} has written to {watch.reason}.\n\n"
        "Perhaps somebody else knows the password. What this user sends to others is therefore taken, but waits in the queue,\n"
        "with what was sent in the last two hours and has not left; mail for colleagues is delivered as ever.\n"
        "Nothing is lost, and the user has not been told.\n\n"
        f"If it is all right:           postroom senders release {email}\n"
        f"If it is not, first change the password, then\n"
        f"throw away what waits:        postroom senders drop {email}\n"
        f"To let this user write to any number of others from now on:\n"
        f"                              postroom senders trust {email}\n"
    )
