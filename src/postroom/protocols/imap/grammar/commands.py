"""Every command a client can give, as typed values; the order and the sections are those of RFC 3501.

Mailbox names are paths of the house already (`names.decode`). A command says what the client wrote and nothing of what it
means: sequence sets still hold `*`, keywords are names.
"""

from dataclasses import dataclass

from postroom.protocols.imap.grammar.fetch import Attribute
from postroom.protocols.imap.grammar.names import Pattern
from postroom.protocols.imap.grammar.scanner import Literal
from postroom.protocols.imap.grammar.search import Key
from postroom.protocols.imap.grammar.sets import SequenceSet


@dataclass(frozen=True, slots=True)
class Flags:
    """System flags as bits, and the names of keywords."""

    mask: int = 0
    keywords: tuple[str, ...] = ()


# Any state


@dataclass(frozen=True, slots=True)
class Capability:
    """RFC 3501 §6.1.1."""


@dataclass(frozen=True, slots=True)
class Noop:
    """RFC 3501 §6.1.2."""


@dataclass(frozen=True, slots=True)
class Logout:
    """RFC 3501 §6.1.3."""


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971 §3.1."""

    fields: tuple[tuple[bytes, bytes | None], ...]


# Not authenticated


@dataclass(frozen=True, slots=True)
class StartTls:
    """RFC 3501 §6.2.1."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """RFC 3501 §6.2.2; the initial response is of RFC 4959, still in base64."""

    mechanism: bytes
    initial: bytes | None

    def __repr__(self) -> str:
        return f"Authenticate({self.mechanism!r})"


@dataclass(frozen=True, slots=True)
class Login:
    """RFC 3501 §6.2.3."""

    username: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Login({self.username!r})"


# Authenticated


@dataclass(frozen=True, slots=True)
class Enable:
    """RFC 5161 §3.1."""

    names: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Select:
    """RFC 3501 §6.3.1 and §6.3.2; `condstore` is of RFC 7162 §3.1.8."""

    mailbox: str
    examine: bool
    condstore: bool


@dataclass(frozen=True, slots=True)
class Create:
    """RFC 3501 §6.3.3; `use` is of RFC 6154 §3."""

    mailbox: str
    use: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """RFC 3501 §6.3.4."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """RFC 3501 §6.3.5."""

    mailbox: str
    new: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """RFC 3501 §6.3.6 and §6.3.7."""

    mailbox: str
    on: bool


@dataclass(frozen=True, slots=True)
class List:
    """RFC 3501 §6.3.8, extended by RFC 5258, RFC 6154 and RFC 5819.

    `patterns` is empty for the question after the hierarchy's separator.
    """

    patterns: tuple[Pattern, ...]
    only: frozenset[bytes]
    options: frozenset[bytes]
    status: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Lsub:
    """RFC 3501 §6.3.9."""

    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Status:
    """RFC 3501 §6.3.10."""

    mailbox: str
    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an APPEND."""

    flags: Flags
    received_at: int | None
    content: Literal


@dataclass(frozen=True, slots=True)
class Append:
    """RFC 3501 §6.3.11; several messages are of RFC 3502."""

    mailbox: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Namespace:
    """RFC 2342 §5."""


@dataclass(frozen=True, slots=True)
class Idle:
    """RFC 2177."""


@dataclass(frozen=True, slots=True)
class GetQuota:
    """RFC 9208 §4.1.2."""

    root: bytes


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    """RFC 9208 §4.1.3."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    """RFC 9208 §4.1.1."""

    root: bytes


# Selected


@dataclass(frozen=True, slots=True)
class Check:
    """RFC 3501 §6.4.1."""


@dataclass(frozen=True, slots=True)
class Close:
    """RFC 3501 §6.4.2."""


@dataclass(frozen=True, slots=True)
class Unselect:
    """RFC 3691."""


@dataclass(frozen=True, slots=True)
class Expunge:
    """RFC 3501 §6.4.3; with UIDs RFC 4315 §2.1."""

    uids: SequenceSet | None


@dataclass(frozen=True, slots=True)
class Search:
    """RFC 3501 §6.4.4; `returns` is of RFC 4731, None for the plain answer."""

    key: Key
    returns: frozenset[bytes] | None
    uid: bool


@dataclass(frozen=True, slots=True)
class Fetch:
    """RFC 3501 §6.4.5; `changed_since` is of RFC 7162 §3.1.4.1."""

    numbers: SequenceSet
    attributes: tuple[Attribute, ...]
    changed_since: int | None
    uid: bool


@dataclass(frozen=True, slots=True)
class Store:
    """RFC 3501 §6.4.6; `unchanged_since` is of RFC 7162 §3.1.3. `how` is add, remove or replace."""

    numbers: SequenceSet
    how: str
    flags: Flags
    silent: bool
    unchanged_since: int | None
    uid: bool


@dataclass(frozen=True, slots=True)
class Copy:
    """RFC 3501 §6.4.7."""

    numbers: SequenceSet
    mailbox: str
    uid: bool


@dataclass(frozen=True, slots=True)
class Move:
    """RFC 6851 §3.1."""

    numbers: SequenceSet
    mailbox: str
    uid: bool


Command = (
    Capability
    | Noop
    | Logout
    | Id
    | StartTls
    | Authenticate
    | Login
    | Enable
    | Select
    | Create
    | Delete
    | Rename
    | Subscribe
    | List
    | Lsub
    | Status
    | Append
    | Namespace
    | Idle
    | GetQuota
    | GetQuotaRoot
    | SetQuota
    | Check
    | Close
    | Unselect
    | Expunge
    | Search
    | Fetch
    | Store
    | Copy
    | Move
)
