"""What is expected of one record set: who publishes what, whether it is there, and the line of a zone file where it is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from postroom.directory.domains import Record
from postroom.server.dns.lookups import Lookups, NoAnswer

MOST_SHOWN = 20
"""Records of one name that are shown."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether what was found will do, and what there is to say about it."""

    right: bool
    remark: str = ""


Judge = Callable[[Sequence[str]], Judgement]


@dataclass(frozen=True, slots=True)
class Look:
    """What came of an expectation; `paste` are lines of a zone file, none where nothing is to be done."""

    subject: str
    hostname: str
    type: str
    right: bool
    needed: bool
    found: tuple[str, ...]
    expected: str
    paste: tuple[str, ...]
    remark: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """A record set that is asked for; of texts only those that begin with `prefix` are judged, in any case."""

    subject: str
    hostname: str
    type: str
    expected: str
    judge: Judge
    paste: tuple[str, ...] = ()
    needed: bool = True
    prefix: str = ""

    def look(self, lookups: Lookups) -> Look:
        """Ask and judge; raises NoAnswer."""
        there = [text for text in lookups.records(self.hostname, self.type) if text.lower().startswith(self.prefix)]
        said = self.judge(there)
        return self._look(tuple(there[:MOST_SHOWN]), said)

    def try_look(self, lookups: Lookups) -> Look:
        """Ask and judge; where no name server answers, nothing is right."""
        try:
            return self.look(lookups)
        except NoAnswer as error:
            return self._look((), Judgement(False, f"no name server answered: {error}"))

    def _look(self, found: tuple[str, ...], said: Judgement) -> Look:
        paste = () if said.right else self.paste
        return Look(self.subject, self.hostname, self.type, said.right, self.needed, found, self.expected, paste, said.remark)


def of_record(subject: str, record: Record, judge: Judge, *, needed: bool = True, prefix: str = "") -> Expectation:
    """Expect a record of which there is one right form."""
    return Expectation(subject, record.hostname, record.type, record.value, judge, (record.line,), needed, prefix)


def contains(value: str) -> Judge:
    """Want a value among others."""
    return lambda found: Judgement(value in found)


def is_only(value: str) -> Judge:
    """Want a name, in any case, and nothing beside it."""
    return lambda found: Judgement([one.lower() for one in found] == [value.lower()])
