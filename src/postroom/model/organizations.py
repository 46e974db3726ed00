"""The organization: the tenant, the shard and the key."""

from dataclasses import dataclass
from enum import StrEnum


class OrganizationStatus(StrEnum):
    """The states that scripts wait for (WorkMail API: DescribeOrganization, State)."""

    REQUESTED = "Requested"
    CREATING = "Creating"
    ACTIVE = "Active"
    DELETING = "Deleting"
    DELETED = "Deleted"


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization as the registry knows it; `number` is its storage scope, times are epoch seconds."""

    number: int
    id: str
    alias: str
    state: str
    directory_id: str
    directory_type: str
    default_domain: str
    key_arn: str | None
    created_at: float
    completed_at: float | None = None
    deleted_at: float | None = None
    error_message: str | None = None
    interoperability: bool = False
    """Whether Microsoft Exchange has a say in its addresses."""
