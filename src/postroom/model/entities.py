"""Who may have an address: users, groups and resources, which share one name space."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an entity is (WorkMail API: DescribeEntity, Type)."""

    USER = "USER"
    GROUP = "GROUP"
    RESOURCE = "RESOURCE"


class State(StrEnum):
    """Whether an entity takes part in mail (WorkMail API: DescribeUser, State)."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class Role(StrEnum):
    """Which kind of user (WorkMail API: CreateUser, Role); a remote user's mailbox is in another system."""

    USER = "USER"
    REMOTE_USER = "REMOTE_USER"


@dataclass(frozen=True, slots=True)
class Entity:
    """A user, group or resource; `email` is its primary address, None while it is disabled. Times are epoch seconds."""

    id: str
    kind: Kind
    name: str
    display_name: str
    state: State
    email: str | None
    role: str
    hidden: bool
    created_at: float
    enabled_at: float | None
    disabled_at: float | None
    provisioned_at: float | None
    deprovisioned_at: float | None
    identity_user: str | None

    @property
    def enabled(self) -> bool:
        """Say whether it takes part in mail."""
        return self.state is State.ENABLED

    @property
    def has_mailbox(self) -> bool:
        """Say whether mail for it ends in a mailbox here: not for groups, nor for users of another system."""
        return self.enabled and self.kind is not Kind.GROUP and self.role != Role.REMOTE_USER


@dataclass(frozen=True, slots=True)
class Booking:
    """How a resource answers meeting requests (WorkMail API: UpdateResource, BookingOptions)."""

    auto_accept: bool = True
    decline_recurring: bool = False
    decline_conflicts: bool = True


@dataclass(frozen=True, slots=True)
class Resource:
    """What a resource has beyond its entity; `type` is ROOM or EQUIPMENT."""

    id: str
    type: str
    description: str | None
    booking: Booking


@dataclass(frozen=True, slots=True)
class MailDomain:
    """A mail domain of an organization; statuses are PENDING, VERIFIED or FAILED, tokens go into DNS."""

    domain: str
    test: bool
    ownership: str
    dkim: str
    ownership_token: str
    dkim_tokens: tuple[str, ...]
    registered_at: float
    verified_at: float | None
