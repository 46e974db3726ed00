"""What a script has decided about a letter."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filing:
    """A copy to be kept: in the folder of that path, '' for where it would have gone without a script, or in that of a special use."""

    path: str = ""
    flags: tuple[str, ...] = ()
    create: bool = False
    use: str = ""


@dataclass(frozen=True, slots=True)
class Vacation:
    """An automatic reply; `seconds` is how long its receiver gets no second one, `handle` tells replies apart (RFC 5230)."""

    reason: str
    handle: str
    seconds: int
    subject: str = ""
    sender: str = ""
    addresses: tuple[str, ...] = ()
    mime: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """All of it. `content` is the letter with another header, None for the letter as it came.

    `refusal` is why the letter goes back, None if it does not. `failure` is why the script came to no end; the letter is kept then.
    """

    filings: tuple[Filing, ...] = (Filing(),)
    redirects: tuple[str, ...] = ()
    vacation: Vacation | None = None
    refusal: str | None = None
    content: bytes | None = None
    failure: str = ""


KEPT = Outcome()
"""What becomes of a letter without a script: the implicit keep (RFC 5228 §2.10.2)."""
