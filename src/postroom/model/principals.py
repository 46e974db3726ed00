"""Who may call the API: users with access keys, roles with sessions (AWS: Identity and Access Management)."""

from dataclasses import dataclass
from enum import StrEnum


class KeyStatus(StrEnum):
    """Whether a key may sign (IAM API: UpdateAccessKey)."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True)
class User:
    """A user; `path` begins and ends with a slash, times are epoch seconds."""

    id: str
    name: str
    path: str
    created_at: float


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A user's access key; `name` is the user's."""

    id: str
    secret: str
    user_id: str
    name: str
    status: str
    created_at: float
    last_used_at: float | None
    last_used_service: str | None

    def __repr__(self) -> str:
        return f"AccessKey({self.id!r}, {self.name!r}, {self.status!r})"


@dataclass(frozen=True, slots=True)
class Role:
    """A role, with the document that says who may assume it and for how many seconds at most."""

    id: str
    name: str
    path: str
    trust: str
    trusted: str
    """The ids of the principals that `trust` names, by ARN (JSON)."""
    description: str | None
    session_seconds: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials of a role; `policy` may narrow what the role is allowed."""

    id: str
    secret: str
    token: str
    role_id: str
    name: str
    policy: str | None
    created_at: float
    expires_at: float

    def __repr__(self) -> str:
        return f"Session({self.id!r}, {self.name!r})"


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller by its unique id and names: a user, or a session of a role."""

    id: str
    name: str
    path: str = "/"
    session: str | None = None
    """The name of the session; only roles have one."""

    @property
    def kind(self) -> str:
        """Give the value of aws:PrincipalType."""
        return "User" if self.session is None else "AssumedRole"

    @property
    def unique(self) -> str:
        """Give the value of aws:userid."""
        return self.id if self.session is None else f"{self.id}:{self.session}"

    @property
    def shown(self) -> str:
        """Give a short name for logs."""
        return self.name if self.session is None else f"{self.name}/{self.session}"

    def arn(self, account: str) -> str:
        """Name the caller: the user, or the session."""
        if self.session is None:
            return user_arn(account, self.path, self.name)
        return f"arn:aws:sts::{account}:assumed-role/{self.name}/{self.session}"

    def principal_arn(self, account: str) -> str:
        """Name the user or the role, as aws:PrincipalArn does."""
        return self.arn(account) if self.session is None else role_arn(account, self.path, self.name)


def user_arn(account: str, path: str, name: str) -> str:
    """Name a user."""
    return f"arn:aws:iam::{account}:user{path}{name}"


def role_arn(account: str, path: str, name: str) -> str:
    """Name a role."""
    return f"arn:aws:iam::{account}:role{path}{name}"
