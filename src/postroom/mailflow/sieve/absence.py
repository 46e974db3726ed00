"""An automatic reply that an administrator puts into the script of somebody who is away, and takes out again.

Only one script of a mailbox is active, so the reply becomes a part of it, between two marks, behind its last `require`; taken out, it
leaves the script as it was. Who has no script gets one that has nothing else in it.
"""

import re
from dataclasses import dataclass
from datetime import date

from postroom.formats.sieve.lexer import Fault, tokens
from postroom.mailbox.access import Mailbox
from postroom.mailflow.sieve import scripts
from postroom.mailflow.sieve.scripts import Limits
from postroom.model import errors
from postroom.storage.engine import Tx

NAME = "Automatic reply"
_BEGIN, _END = "# An automatic reply begins here.", "# The automatic reply ends here."
_PART = re.compile(f"\n{re.escape(_BEGIN)}\r?\n(.*?)\r?\n{re.escape(_END)}\r?(?:\n|\\Z)", re.DOTALL)
_ZONE = re.compile(r"[+-](?:0[0-9]|1[0-4])[0-5][0-9]")
MOST_DAYS = 365


@dataclass(frozen=True, slots=True)
class Absence:
    """What is answered, and on which days, the first and the last included; the days are those of `zone`, such as +0100, or of this server.

    Nobody gets a second reply within so many days (RFC 5230 §4.1).
    """

    text: str
    subject: str = ""
    first: date | None = None
    last: date | None = None
    zone: str = ""
    days: int = 7

    def __post_init__(self) -> None:
        """Raise `InvalidParameter` for what makes no sense."""
        if not self.text.strip() or "\0" in self.text + self.subject or "\n" in self.subject or "\r" in self.subject:
            raise errors.InvalidParameter("A reply needs a text, and a subject of one line.")
        if self.first and self.last and self.last < self.first:
            raise errors.InvalidParameter("The last day comes before the first.")
        if self.zone and not _ZONE.fullmatch(self.zone):
            raise errors.InvalidParameter("A time zone is written as +0100.")
        if not 1 <= self.days <= MOST_DAYS:
            raise errors.InvalidParameter(f"The days are 1 to {MOST_DAYS}.")

    def script(self) -> str:
        """Write it in Sieve (RFC 5230, RFC 5260)."""
        subject = f" :subject {_quoted(self.subject)}" if self.subject else ""
        action = f"vacation :days {self.days}{subject} {_quoted(self.text)};"
        zone = f' :zone "{self.zone}"' if self.zone else ""
        bounds = (("ge", self.first), ("le", self.last))
        tests = [f'currentdate{zone} :value "{how}" "date" "{day.isoformat()}"' for how, day in bounds if day]
        if not tests:
            return f'require "vacation";\n{action}'
        return f'require ["date", "relational", "vacation"];\nif allof ({", ".join(tests)}) {{\n  {action}\n}}'


def put(tx: Tx, mailbox: Mailbox, absence: Absence, limits: Limits) -> str:
    """Put a reply in the place of one that is there, and give the name of its script.

    Raises `EntityState` where the name of a new script is taken, `MalformedScript` where the active one cannot be read, `LimitExceeded`.
    """
    name, text = _active(tx, mailbox)
    if not name and any(one.name == NAME for one in scripts.all_of(tx, mailbox)) and _without(scripts.get(tx, mailbox, NAME)).strip():
        raise errors.EntityState(f"There is another script called {NAME}, which is not active.")
    made = _with(_without(text), absence.script()).encode()
    scripts.check(made, limits)
    scripts.put(tx, mailbox, name or NAME, made, limits)
    scripts.activate(tx, mailbox, name or NAME)
    return name or NAME


def take_out(tx: Tx, mailbox: Mailbox, limits: Limits) -> bool:
    """Take the reply out of the active script; False where there is none."""
    name, text = _active(tx, mailbox)
    rest = _without(text)
    if rest == text:
        return False
    if rest.strip():
        scripts.put(tx, mailbox, name, rest.encode(), limits)
    else:
        scripts.activate(tx, mailbox, "")
        scripts.delete(tx, mailbox, name)
    return True


def find(tx: Tx, mailbox: Mailbox) -> str:
    """Give the reply in the active script as it is written there, '' where there is none."""
    found = _PART.search(_active(tx, mailbox)[1])
    return found[1] if found else ""


def _active(tx: Tx, mailbox: Mailbox) -> tuple[str, str]:
    """Give name and text of the active script, empty where there is none."""
    name = next((one.name for one in scripts.all_of(tx, mailbox) if one.active), "")
    return name, scripts.get(tx, mailbox, name) if name else ""


def _with(text: str, part: str) -> str:
    at = _behind_requires(text)
    return f"{text[:at]}\n{_BEGIN}\n{part}\n{_END}\n{text[at:]}"


def _without(text: str) -> str:
    return _PART.sub("", text)


def _behind_requires(text: str) -> int:
    """Give the place behind the last `require`, which come first (RFC 5228 §3.2); raises `MalformedScript`."""
    at, requiring = 0, True
    try:
        for token in tokens(text):
            if requiring and (token.kind != "word" or str(token.value).lower() != "require"):
                return at
            requiring = token.kind == ";"
            at = token.at + 1 if requiring else at
    except Fault as error:
        raise errors.MalformedScript(error.text) from None
    return at


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
