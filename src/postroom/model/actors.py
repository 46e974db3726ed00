"""Who acts, from where, by which protocol."""

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    """The actions of WorkMail's access control rules (WorkMail API: PutAccessControlRule)."""

    ACTIVESYNC = "ActiveSync"
    AUTODISCOVER = "AutoDiscover"
    EWS = "EWS"
    IMAP = "IMAP"
    SMTP = "SMTP"
    WINDOWS_OUTLOOK = "WindowsOutlook"
    WEBMAIL = "WebMail"


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
    """Where a sign-in comes from; `secure` says that the connection is encrypted."""

    protocol: Protocol
    address: str
    secure: bool


@dataclass(frozen=True, slots=True)
class Actor:
    """A user who has signed in."""

    scope: int
    organization_id: str
    user_id: str
    email: str
    client: Client
