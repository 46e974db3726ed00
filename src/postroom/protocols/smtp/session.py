"""What one client has: who it is, what it said, and the mail transaction under way.

A command is a generator. It *returns* its final reply and *yields* what it needs on the way, one of the asks
below, each answered by the loop in `server.py`, the only place that waits. So every command reads top to bottom
and runs without a socket; an ask that fails with a domain error raises it inside the command.
"""

import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from postroom.mailflow.envelopes import Wish
from postroom.mailflow.filters.settings import Greylisting
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.screening import Arrival
from postroom.model.actors import Actor, Client, Credentials
from postroom.protocols.smtp.grammar import Reply
from postroom.protocols.smtp.rates import Rates, UserRates
from postroom.protocols.smtp.settings import Settings
from postroom.protocols.smtp.spool import Spool


class Role(StrEnum):
    """Which door this is: strangers bring mail (`mx`), or our own users send it (`submission`)."""

    MX = "mx"
    SUBMISSION = "submission"


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for `function(tx, *arguments)` in a read-only snapshot of a scope."""

    scope: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """Ask for `function(tx, *arguments)` in a transaction; answered after the fsync."""

    scope: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """Ask for `function(store, *arguments)` on a thread; `weight` octets of memory are set aside for it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    weight: int


@dataclass(frozen=True, slots=True)
class Screen:
    """Ask what can be found out about a letter; answered with an `Assessment`. `weight` octets of memory are set aside for it."""

    arrival: Arrival
    weight: int


@dataclass(frozen=True, slots=True)
class Meet:
    """Ask why the client may bring no mail; answered with the reason, '' if it may."""

    address: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """Ask the client for a line; answered with it (RFC 4954 §4)."""

    text: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """Ask who this is; answered with an `Actor`."""

    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Collect:
    """Say 354 and ask for the content, into the transaction's spool; answered with its fault, '' for none."""


Ask = Read | Write | Work | Screen | Meet | Challenge | SignIn | Collect
Conversation = Generator[Ask, Any, Reply]


@dataclass(slots=True)
class Transaction:
    """MAIL and what followed; `refusal` is the reply that every further octet of a spoilt message gets.

    What the sender wants to hear of and how the letter is to go stand as in `Envelope`.
    """

    sender: str
    size: int
    eight_bit: bool
    international: bool
    returns: str = ""
    envelope_id: str = ""
    require_tls: bool = False
    hold_until: float = 0.0
    wishes: dict[str, Wish] = field(default_factory=dict)
    recipients: list[tuple[str, int]] = field(default_factory=list)
    spool: Spool | None = None
    refusal: Reply | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(6))

    def spoil(self, refusal: Reply) -> None:
        """Refuse the message, whatever else comes of it; its octets are let go at once."""
        self.refusal = refusal
        if self.spool is not None:
            self.spool.close()

    def find_fault(self, fault: str) -> None:
        """Refuse a message that holds a fault, '' being none, unless it is refused already."""
        if fault and self.refusal is None:
            self.refusal = Reply(550, "5.5.2", f"Message holds a {fault}")

    def close(self) -> None:
        """Give the spool back."""
        if self.spool is not None:
            self.spool.close()
            self.spool = None


@dataclass(slots=True)
class Session:
    """One client's connection, as the commands see it. `routes` finds a domain's scope without asking again.

    `place` is the network under which a client is counted by the `rates`, '' for a trusted one; users are counted by `user_rates`, too.
    Where the server `meets` its clients, `unwelcome` is why this one may bring no mail, '' if it may, None before that has been asked.
    """

    role: Role
    settings: Settings
    client: Client
    now: Callable[[], float]
    can_upgrade: bool
    open_spool: Callable[[bytes], Spool]
    routes: "Routes"
    terms: Terms
    rates: Rates | None = None
    user_rates: UserRates | None = None
    place: str = ""
    greylisting: Greylisting | None = None
    meets: bool = False
    unwelcome: str | None = None
    hello: str = ""
    extended: bool = False
    secure: bool = False
    cipher: str = ""
    actor: Actor | None = None
    own_addresses: tuple[str, ...] = ()
    transaction: Transaction | None = None
    failed_sign_ins: int = 0
    delivered: int = 0

    @property
    def submitting(self) -> bool:
        """Say whether this is a submission port."""
        return self.role is Role.SUBMISSION

    def reset(self) -> None:
        """Forget the mail transaction (RFC 5321 §4.1.1.5)."""
        if self.transaction is not None:
            self.transaction.close()
            self.transaction = None

    def restart(self) -> None:
        """Forget all the client said, as after STARTTLS (RFC 3207 §4.2)."""
        self.reset()
        self.hello, self.extended, self.actor, self.own_addresses = "", False, None, ()


class Routes:
    """Which scope hosts a mail domain, remembered for a few seconds; that a domain is not hosted, never."""

    __slots__ = ("_known",)
    LIFE = 10.0
    LIMIT = 4096

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}

    def find(self, domain: str, now: float) -> int | None:
        """Give what is remembered, at `now`."""
        scope, until = self._known.get(domain, (0, 0.0))
        return scope if now < until else None

    def remember(self, domain: str, scope: int, now: float) -> None:
        """Remember where a domain lives."""
        if len(self._known) >= self.LIMIT:
            self._known.clear()
        self._known[domain] = (scope, now + self.LIFE)

    def forget(self, domain: str) -> None:
        """Ask again next time."""
        self._known.pop(domain, None)
