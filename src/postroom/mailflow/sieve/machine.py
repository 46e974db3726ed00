"""What a running script has: the letter, how it came, variables, flags, and what is left of the steps it may take.

Everything a script can make grow is bounded, and all it does costs steps. When they are used up, or when something else goes wrong, it
comes to its end with a `Trouble`, and the letter is kept as if there were no script (RFC 5228 §2.10.6).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from postroom.formats.sieve.matching import UNIT
from postroom.mailflow.sieve.letter import Letter

STEPS = 100_000
"""What a script may take: one for each command, test and comparison, and one for each so many characters compared."""
MAX_VARIABLES = 128
MAX_VALUE = 4_000
"""Characters of a variable; longer values are cut (RFC 5229 §3)."""
MAX_TEXT = 32_768
"""Characters of a string into which variables are put; longer ones are cut."""
MATCHES = 10
"""What `:matches` has found, ${0} to ${9}."""
MAX_FLAGS = 32
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w{0,63}|\d{1,3})\}", re.ASCII)
_FLAG = re.compile(r"(?:\\(?:seen|answered|flagged|deleted|draft)|[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|~]{1,128})\Z", re.IGNORECASE | re.ASCII)


class Trouble(Exception):
    """Why a script cannot go on."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a letter came, and what there is in the mailbox.

    `sender` and `recipient` are the envelope's; `now` is in epoch seconds. `has_folder` tells of a path, `has_use` of a path or '' and a
    special use such as `\\Junk`.
    """

    sender: str = ""
    recipient: str = ""
    now: float = 0.0
    has_folder: Callable[[str], bool] = lambda path: False
    has_use: Callable[[str, str], bool] = lambda path, use: False


@dataclass(slots=True)
class Machine:
    """The state of a run."""

    letter: Letter
    circumstances: Circumstances
    with_variables: bool = False
    left: int = STEPS
    variables: dict[str, str] = field(default_factory=dict)
    found: Sequence[str] = ()
    flags: tuple[str, ...] = ()

    def spend(self, steps: int = 1) -> None:
        """Take steps; raises `Trouble` when there are not as many."""
        self.left -= steps
        if self.left < 0:
            raise Trouble("The script takes too many steps.")

    def text(self, value: object) -> str:
        """Put variables into a string (RFC 5229 §3)."""
        plain = str(value)
        if not self.with_variables or "${" not in plain:
            return plain
        self.spend(1 + len(plain) // UNIT)
        pieces: list[str] = []
        length = at = 0
        for match in _REFERENCE.finditer(plain):
            pieces += plain[at : match.start()], self.variable(match[1])
            length += len(pieces[-2]) + len(pieces[-1])
            at = match.end()
            if length > MAX_TEXT:
                break
        pieces.append(plain[at:])
        whole = "".join(pieces)[:MAX_TEXT]
        self.spend(len(whole) // UNIT)
        return whole

    def texts(self, values: object) -> list[str]:
        """Put variables into each string of a list."""
        return [self.text(value) for value in values] if isinstance(values, tuple) else [self.text(values)]

    def variable(self, name: str) -> str:
        """Give the value of a variable, '' for one that has none."""
        if name.isdigit():
            return self.found[int(name)] if int(name) < len(self.found) else ""
        return self.variables.get(name.lower(), "")

    def assign(self, name: str, value: str) -> None:
        """Give a variable its value; raises `Trouble` when there are too many."""
        if name.lower() not in self.variables and len(self.variables) >= MAX_VARIABLES:
            raise Trouble("The script has too many variables.")
        self.variables[name.lower()] = value[:MAX_VALUE]

    def remember(self, found: Sequence[str]) -> None:
        """Keep what `:matches` has found, for ${0} and those behind it (RFC 5229 §3.2)."""
        if self.with_variables:
            self.found = [value[:MAX_VALUE] for value in found[:MATCHES]]


def flags_in(texts: Iterable[str]) -> tuple[str, ...]:
    """List the flags that stand in strings, each once, in order; what cannot be one is passed over (RFC 5232 §2)."""
    found: dict[str, str] = {}
    for text in texts:
        for word in text.split():
            if _FLAG.match(word) and len(found) < MAX_FLAGS:
                found.setdefault(word.lower(), word)
    return tuple(found.values())
