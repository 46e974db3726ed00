"""What is known of a stranger's letter before it is let in: who sent it, and whether it is wanted.

Found out by asking DNS and others (`screening`), so before any transaction. It goes with the letter wherever that goes on this server: into
the transaction that delivers it, and with the rows of the queue to other organizations.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Result(StrEnum):
    """What a check of SPF, DKIM, DMARC, ARC or iprev can come to (RFC 8601 §2.7)."""

    NONE = "none"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    POLICY = "policy"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Policy(StrEnum):
    """What a domain asks to be done with letters that fail DMARC (RFC 7489 §6.3)."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


class Verdict(StrEnum):
    """The verdict of a filter, as WorkMail's events and SES's headers say it."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    GRAY = "GRAY"
    PROCESSING_FAILED = "PROCESSING_FAILED"


@dataclass(frozen=True, slots=True)
class Spf:
    """SPF of the envelope (RFC 7208): the domain asked, and whether it stood in MAIL FROM (`mailfrom`) or in HELO (`helo`)."""

    result: Result = Result.NONE
    domain: str = ""
    scope: str = "mailfrom"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM signature (RFC 6376, RFC 8463); `identity` is its i=."""

    result: Result
    domain: str
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Arc:
    """The chain of custody (RFC 8617): its result, its length, and the domain that sealed it last."""

    result: Result = Result.NONE
    instances: int = 0
    sealer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Dmarc:
    """DMARC of the From domain (RFC 7489).

    `policy_domain` is where the record was found; `published` is what it asks of this domain, `policy` what is to be done with this letter
    (`pct`, or `t=`, may make it milder); `record` is its text and `reports` the addresses of rua=.
    """

    result: Result = Result.NONE
    domain: str = ""
    policy_domain: str = ""
    published: Policy = Policy.NONE
    policy: Policy = Policy.NONE
    spf_aligned: bool = False
    dkim_aligned: bool = False
    record: str = ""
    reports: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who sent a letter, as far as can be told. `address` is the client's, `hello` what it called itself, `name` its name by iprev."""

    address: str = ""
    hello: str = ""
    iprev: Result = Result.NONE
    name: str = ""
    spf: Spf = Spf()
    dkim: tuple[Signature, ...] = ()
    arc: Arc = Arc()
    dmarc: Dmarc = Dmarc()

    @property
    def says_nothing(self) -> bool:
        """Say whether nobody has looked, so that only the client is known."""
        return self == Authentication(self.address, self.hello)


@dataclass(frozen=True, slots=True)
class Content:
    """What filters say of a letter: a verdict on spam and one on malware, the score and what it is made of, and the name of the malware.

    A score of 1.0 makes it junk, whatever scale a filter has. `refuse` says why nobody here may get the letter, `defer` why it has to
    come again later; '' that neither is so.
    """

    spam: Verdict = Verdict.PASS
    malware: Verdict = Verdict.PASS
    score: float = 0.0
    symbols: tuple[str, ...] = ()
    found: str = ""
    refuse: str = ""
    defer: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that is known of a letter. `server` is the name under which this server says it in the letter.

    `ours` is the mark of what one of our users or this server wrote, of which nothing else need be known. It is set where a letter is
    written, goes with it wherever it goes here, and is all that says so: nothing in a letter does.
    """

    authentication: Authentication | None = None
    content: Content = Content()
    server: str = ""
    ours: bool = False


OURS = Assessment(ours=True)
"""A letter that one of our users or this server wrote."""
UNKNOWN = Assessment()
"""A letter of which nothing is known."""


def pack(assessment: Assessment) -> str:
    """Write an assessment down, '' for `OURS`."""
    return "" if assessment == OURS else msgspec.json.encode(assessment).decode()


def unpack(text: str) -> Assessment:
    """Read what `pack` wrote."""
    return msgspec.json.decode(text, type=Assessment) if text else OURS
