"""What became of one copy at one attempt."""

import re
from dataclasses import dataclass
from enum import Enum, auto

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?:\s|$)")
_DEFAULT_STATUS = {
    450: "4.2.0",
    451: "4.3.0",
    452: "4.2.2",
    500: "5.5.1",
    501: "5.5.4",
    502: "5.5.1",
    503: "5.5.1",
    550: "5.1.1",
    551: "5.1.6",
    552: "5.2.2",
    553: "5.1.3",
    554: "5.0.0",
    555: "5.5.4",
}


class Fate(Enum):
    """Delivered, to be tried again, or never to be delivered."""

    DELIVERED = auto()
    DEFERRED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fate, its RFC 3463 status, who said what, how the connection was encrypted, and whether who has taken it confirms the delivery."""

    fate: Fate
    status: str
    text: str
    host: str = ""
    tls: str = ""
    confirms: bool = False


def from_reply(code: int, text: str, host: str) -> Verdict:
    """Judge by a reply: 2xx, 4xx or 5xx; anything else is tried again (RFC 5321 §4.2.1)."""
    fate = {2: Fate.DELIVERED, 5: Fate.FAILED}.get(code // 100, Fate.DEFERRED)
    first = {Fate.DELIVERED: "2", Fate.FAILED: "5", Fate.DEFERRED: "4"}[fate]
    enhanced = _ENHANCED.match(text)
    if enhanced and enhanced[1] == first:
        status = f"{enhanced[1]}.{enhanced[2]}.{enhanced[3]}"
    else:
        status = _DEFAULT_STATUS.get(code, f"{first}.0.0")
    return Verdict(fate, status, _plain(f"{code} {text}"), host)


def deferred(status: str, text: str, host: str = "") -> Verdict:
    """Try again later."""
    return Verdict(Fate.DEFERRED, status, _plain(text), host)


def failed(status: str, text: str, host: str = "") -> Verdict:
    """Give up."""
    return Verdict(Fate.FAILED, status, _plain(text), host)


def _plain(text: str) -> str:
    """Make another server's words fit for a row and a report: one line of at most 500 characters, no stray octets."""
    return " ".join(_CONTROL.sub(" ", text.encode("utf-8", "replace").decode()).split())[:500]
