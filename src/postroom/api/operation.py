"""What an operation is: a function from a `Call` to an answer, entered in the registry under its AWS name.

Most operations live in one organization: the gateway has found it and seen that its state allows the call, and runs the handler in
one transaction of that organization, read-only when the name begins with Describe, Get or List.  A few touch the registry as well,
and a transaction never spans two scopes, so they say what is to be done there, each step in its own transaction:

    @operation("RegisterMailDomain", before=claim, undo=unclaim)      # registry, organization; `undo` when the second refused
    @operation("DeregisterMailDomain", after=unclaim)                 # organization, registry

Slow work that needs no rows, such as hashing a password, is a `prepare` step: `prepare(params)` gives it as a function, or None where there
is none to do; that runs on a thread of its own, before any transaction and outside the event loop.

`call.prior` is what the step before returned (in `after`: the handler's answer).  A step must be safe to repeat: the program may die
between two of them, and the client will try again.  Of one organization only one such operation is under
way at a time (`Tenants.turn`).

An operation about the organizations themselves runs as a whole in the registry (`scope=Scope.REGISTRY`) or conducts several
transactions by itself on a storage thread (`@crossing`), handed the store instead of a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from postroom.api.model import WORKMAIL
from postroom.aws.clients import Aws
from postroom.directory.domains import Targets
from postroom.directory.outside import Directories
from postroom.model import errors
from postroom.model.availability import Provider
from postroom.model.organizations import Organization
from postroom.model.principals import Identity
from postroom.storage.engine import Store, Tx

Answer = dict[str, Any]

NO_ORGANIZATION = Organization(
    number=0, id="", alias="", state="", directory_id="", directory_type="", default_domain="", key_arn=None, created_at=0.0
)


class Scope(Enum):
    """Where an operation's transaction runs."""

    ORGANIZATION = "organization"
    REGISTRY = "registry"
    CROSSING = "crossing"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the request, from where, and the names that ARNs are made of."""

    account: str
    region: str
    key_id: str
    identity: Identity
    address: str
    secure: bool

    @property
    def name(self) -> str:
        """Name the caller in logs: a user, or a role and its session."""
        return self.identity.shown

    @property
    def arn(self) -> str:
        """Name the caller as AWS does."""
        return self.identity.arn(self.account)

    def organization_arn(self, organization_id: str) -> str:
        """Name an organization as AWS does."""
        return f"arn:aws:workmail:{self.region}:{self.account}:organization/{organization_id}"


@dataclass(frozen=True, slots=True)
class MailDomainPolicy:
    """What the settings say of mail domains: where their DNS records point, and whether a new one is trusted before DNS shows them."""

    targets: Targets = field(default_factory=Targets)
    trust: bool = False
    test_suffix: str = "postroom.test"
    """The domain under which test domains are made, and nobody may register another."""


Probe = Callable[[Provider, bytes], str]
"""Asks an availability provider, a function with this question, and says why it cannot be used; empty when it can."""


def nobody_asks(provider: Provider, question: bytes) -> str:
    """Say that nothing outside can be asked from here."""
    return "This server asks no other systems."


LetterSource = Callable[[str, str, str], bytes]
"""Reads an object by bucket, key and version ('' for the newest); raises `ResourceNotFound`, `TryLater`."""


def nowhere(bucket: str, key: str, version: str) -> bytes:
    """Read no object, as no bucket is known."""
    raise errors.ResourceNotFound(f"The bucket {bucket} is not known to this server.")


@dataclass(frozen=True, slots=True)
class Facilities:
    """What the program lends to operations, one value for as long as it runs."""

    mail_domains: MailDomainPolicy = MailDomainPolicy()
    most_users: int = 100_000
    """The most users of an organization."""
    aws: Aws | None = None
    """AWS, where the settings let it be asked; never inside a transaction."""
    probe: Probe = nobody_asks
    """Tries an availability provider; never inside a transaction."""
    buckets: frozenset[str] = frozenset()
    """The buckets that are folders of this machine."""
    message_flow: bool = True
    """Whether letters on their way can be read."""
    letters: LetterSource = nowhere
    """Reads what is to take the place of a letter; never inside a transaction."""
    directories: Directories = field(default_factory=dict)
    """The outside directories that are known, by their ids; never asked inside a transaction."""


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that is asked for: at most `limit` rows after the key `after` (None: from the start).

    Fetch `fetch` rows, one more than the limit, and let `paging.answer` cut them.
    """

    after: tuple[Any, ...] | None = None
    limit: int = 100

    @property
    def fetch(self) -> int:
        """Count the rows to ask the storage for."""
        return self.limit + 1


FIRST_PAGE = Page()


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it: checked against the model, permitted, in a transaction."""

    tx: Tx
    caller: Caller
    organization: Organization
    params: Mapping[str, Any]
    page: Page = FIRST_PAGE
    prior: Any = None
    facilities: Facilities = Facilities()

    @property
    def mail_domains(self) -> MailDomainPolicy:
        """What the settings say of mail domains."""
        return self.facilities.mail_domains

    @property
    def arn(self) -> str:
        """Name this call's organization as AWS does."""
        return self.caller.organization_arn(self.organization.id)


@dataclass(frozen=True, slots=True)
class Crossing:
    """One request to an operation that conducts its own transactions, on a storage thread."""

    store: Store
    caller: Caller
    organization: Organization
    params: Mapping[str, Any]
    remember: Callable[[Tx, Answer], None]
    """Keep the answer under the request's ClientToken; to be called in the transaction that decides."""
    facilities: Facilities

    @property
    def mail_domains(self) -> MailDomainPolicy:
        """What the settings say of mail domains."""
        return self.facilities.mail_domains


Handler = Callable[[Call], Answer]
Conductor = Callable[[Crossing], Answer]
Step = Callable[[Call], Any]
Preparation = Callable[[Mapping[str, Any]], Callable[[], Any] | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the registry."""

    name: str
    scope: Scope
    writes: bool
    any_state: bool
    """Serves organizations in every state, deleted ones too."""
    handler: Callable[[Any], Answer]
    before: Step | None = None
    undo: Step | None = None
    after: Step | None = None
    prepare: Preparation | None = None
    alone: bool = False
    """Whether a crossing changes what the registry knows of an organization."""

    @property
    def touches_registry(self) -> bool:
        """Say whether it may change what the registry knows of an organization."""
        return self.writes and (self.scope is Scope.REGISTRY or self.alone or self.before is not None or self.after is not None)


SERVICES: dict[str, dict[str, Operation]] = {}
"""What is offered, by the name of the AWS service and then of the operation."""
OPERATIONS = SERVICES.setdefault(WORKMAIL, {})

_READING = ("Describe", "Get", "List")


def operation(
    name: str,
    *,
    scope: Scope = Scope.ORGANIZATION,
    any_state: bool = False,
    before: Step | None = None,
    undo: Step | None = None,
    after: Step | None = None,
    prepare: Preparation | None = None,
    service: str = WORKMAIL,
) -> Callable[[Handler], Handler]:
    """Enter a handler under its AWS name."""

    def enter(handler: Handler) -> Handler:
        writes = not name.startswith(_READING)
        _enter(service, Operation(name, scope, writes, any_state, handler, before, undo, after, prepare))
        return handler

    return enter


def crossing(name: str, *, any_state: bool = False, alone: bool = False, service: str = WORKMAIL) -> Callable[[Conductor], Conductor]:
    """Enter a handler that conducts its own transactions; one that is `alone` waits for its turn with the organization."""

    def enter(handler: Conductor) -> Conductor:
        _enter(service, Operation(name, Scope.CROSSING, not name.startswith(_READING), any_state, handler, alone=alone))
        return handler

    return enter


def _enter(service: str, entry: Operation) -> None:
    offered = SERVICES.setdefault(service, {})
    if entry.name in offered:
        raise ValueError(f"two handlers for {entry.name}")
    offered[entry.name] = entry
