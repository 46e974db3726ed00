"""Who acts, from where, by which protocol."""

import math
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """What access control rules speak of (WorkMail API: PutAccessControlRule)."""

    ACTIVESYNC = "ActiveSync"
    AUTODISCOVER = "AutoDiscover"
    EWS = "EWS"
    IMAP = "IMAP"
    SMTP = "SMTP"
    WINDOWS_OUTLOOK = "WindowsOutlook"
    WEBMAIL = "WebMail"


class Protocol(StrEnum):
    """How a client speaks to this server: by one of WorkMail's actions, or by a protocol that WorkMail does not have."""

    ACTIVESYNC = "ActiveSync"
    AUTODISCOVER = "AutoDiscover"
    EWS = "EWS"
    IMAP = "IMAP"
    SMTP = "SMTP"
    WINDOWS_OUTLOOK = "WindowsOutlook"
    WEBMAIL = "WebMail"
    CALDAV = "CalDAV"
    CARDDAV = "CardDAV"
    JMAP = "JMAP"


def action_of(protocol: Protocol, other: Action = Action.EWS) -> Action:
    """Name the action under which a protocol is decided: its own, or `other` where it has none."""
    return _OWN.get(protocol, other)


_OWN = {Protocol(action.value): action for action in Action}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client said to prove who it is; `authzid` asks to act as another (RFC 4616 §2)."""

    username: str
    password: str
    authzid: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"


@dataclass(frozen=True, slots=True)
class Client:
    """Where a sign-in comes from; `secure` says that the connection is encrypted.

    `other` is the action under which access control rules decide a protocol without one of its own.
    """

    protocol: Protocol
    address: str
    secure: bool
    other: Action = Action.EWS

    @property
    def action(self) -> Action:
        """What access control rules call this."""
        return action_of(self.protocol, self.other)


@dataclass(frozen=True, slots=True)
class Actor:
    """A user who has signed in, or whom a program impersonates."""

    scope: int
    organization_id: str
    user_id: str
    email: str
    client: Client
    mailbox: int = field(default=0, compare=False)
    """The user's own; 0 where it is not known."""
    proof: str = field(default="", compare=False, repr=False)
    """Stands for the password that was right; empty for who came in by other means."""
    read_only: bool = False
    """Opens mailboxes to read at the most, and sends nothing (WorkMail: READ_ONLY impersonation roles)."""
    impersonation_role_id: str = ""
    """The role by which a program acts as this user; empty for the user."""
    owner_id: str = ""
    """Whose mailbox the client asked to have as its own, by signing in on another's behalf; empty for the user's."""
    token_id: str = field(default="", compare=False)
    """The personal access token that was shown; empty for who came in by other means."""
    until: float = field(default=math.inf, compare=False)
    """When what let the user in comes to its end, in epoch seconds."""

    @property
    def home_id(self) -> str:
        """Whose mailbox the client has as its own."""
        return self.owner_id or self.user_id
