"""What a search asks for: a tree of conditions that no protocol and no engine owns (RFC 9051 §6.4.4)."""

from dataclasses import dataclass

UidRanges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class All:
    """Every item."""


@dataclass(frozen=True, slots=True)
class And:
    """All of the conditions hold."""

    terms: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of two conditions holds."""

    left: "Query"
    right: "Query"


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    term: "Query"


@dataclass(frozen=True, slots=True)
class Uids:
    """The UID lies in one of the inclusive ranges."""

    ranges: UidRanges


@dataclass(frozen=True, slots=True)
class HasFlags:
    """All flags of the mask are set."""

    mask: int


@dataclass(frozen=True, slots=True)
class LacksFlags:
    """None of the flags of the mask is set."""

    mask: int


@dataclass(frozen=True, slots=True)
class Larger:
    """More bytes than this."""

    size: int


@dataclass(frozen=True, slots=True)
class Smaller:
    """Fewer bytes than this."""

    size: int


@dataclass(frozen=True, slots=True)
class Received:
    """Received at or after `low` and before `high`, epoch seconds; None is open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """Dated at or after `low` and before `high`, epoch seconds; None is open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """The decoded `subject`, `from`, `to`, `cc` or `bcc` contains the text, ignoring case."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header field of that name contains the text, ignoring case; an empty text asks for its presence."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """The header or the body contains the text, ignoring case."""

    text: str


@dataclass(frozen=True, slots=True)
class Body:
    """The body contains the text, ignoring case."""

    text: str


@dataclass(frozen=True, slots=True)
class Modseq:
    """Changed at this modseq or later (RFC 7162 §3.1.5)."""

    low: int


Query = All | And | Or | Not | Uids | HasFlags | LacksFlags | Larger | Smaller | Received | Sent | Field | Header | Text | Body | Modseq
