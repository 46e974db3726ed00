"""What one source thinks of a letter, and how the opinions of several become one verdict.

Each filter has its own scale. A score is divided by the score from which that filter calls a letter spam, so 1.0 is junk on all of them.
Filters look at the same letter for the same signs, so their scores are not added: the strictest counts. Block lists and our own look at the
header are one source, whose small scores are added among themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from postroom.mailflow.assessment import Content, Verdict

JUNK = 1.0
"""The score that makes a letter junk."""
MOST_SYMBOLS = 100


@dataclass(frozen=True, slots=True)
class Opinion:
    """A score, the names of the tests that made it, the malware that was found; `refuse` and `defer` as in `Content`.

    `failed` says of what the source could not tell, `spam` or `malware`.
    """

    score: float = 0.0
    symbols: tuple[str, ...] = ()
    found: str = ""
    refuse: str = ""
    defer: str = ""
    failed: str = ""


def add(opinions: Iterable[Opinion]) -> Opinion:
    """Make one source of several that look at different things."""
    all_of = list(opinions)
    return Opinion(
        sum(opinion.score for opinion in all_of),
        tuple(symbol for opinion in all_of for symbol in opinion.symbols),
        _first(opinion.found for opinion in all_of),
        _first(opinion.refuse for opinion in all_of),
        _first(opinion.defer for opinion in all_of),
    )


def combine(opinions: Sequence[Opinion], *, refuse_score: float | None = None) -> Content:
    """Make one verdict of what all sources think."""
    score = max((opinion.score for opinion in opinions), default=0.0)
    found = _first(opinion.found for opinion in opinions)
    failed = {opinion.failed for opinion in opinions}
    refuse = _first(opinion.refuse for opinion in opinions)
    if not refuse and refuse_score is not None and score >= refuse_score:
        refuse = "This message looks like spam"
    return Content(
        spam=_verdict(score >= JUNK, failed="spam" in failed),
        malware=_verdict(bool(found), failed="malware" in failed),
        score=round(score, 3),
        symbols=tuple(dict.fromkeys(symbol for opinion in opinions for symbol in opinion.symbols))[:MOST_SYMBOLS],
        found=found,
        refuse=refuse,
        defer="" if refuse else _first(opinion.defer for opinion in opinions),
    )


def _verdict(bad: bool, *, failed: bool) -> Verdict:
    if bad:
        return Verdict.FAIL
    return Verdict.PROCESSING_FAILED if failed else Verdict.PASS


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")
