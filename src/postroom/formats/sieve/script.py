"""A script, read and checked: what it requires is known, and every command is written as it has to be (RFC 5228 §2.10.5).

What is wrong is said with its line and column. A script that has passed can still fail when it runs, where variables are at work.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from postroom.formats.sieve import syntax
from postroom.formats.sieve.lexer import Fault, place
from postroom.formats.sieve.syntax import Argument, Node
from postroom.formats.sieve.vocabulary import COMMANDS, COMPARATORS, DATE_PARTS, EXTENSIONS, IMPLIED, RELATIONS, TESTS, Shape
from postroom.model import addresses, errors

MAX_BYTES = 65_536
"""Octets of a script."""
MAX_EXTENT = 4_000
"""Characters of a string with which something is compared."""
_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_FIELD = re.compile(r"[!-9;-~]{1,126}\Z")
_ENCODED = re.compile(r"\$\{(hex|unicode):([0-9A-Fa-f \t\r\n]+)\}", re.IGNORECASE)

_NUMBER_OF_TESTS = {-1: "at least one test", 0: "no test", 1: "one test"}

Value = str | int | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Step:
    """A command or a test that has been checked. `tags` are by their groups: which tag it is, and its value."""

    name: str
    words: tuple[Value, ...]
    tags: Mapping[str, tuple[str, Value]]
    tests: tuple["Step", ...]
    block: tuple["Step", ...]
    line: int

    def tag(self, group: str) -> str:
        """Name the tag of a group, '' where there is none."""
        found = self.tags.get(group)
        return found[0] if found else ""

    def value(self, group: str) -> Value:
        """Give the value of the tag of a group, None where there is none."""
        found = self.tags.get(group)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Script:
    """A script that can be run."""

    steps: tuple[Step, ...]
    extensions: frozenset[str]


class NoScript(Exception):
    """What is wrong with a text that is no script, and where: line and column from 1."""

    def __init__(self, text: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {text}")
        self.line = line
        self.column = column


def read(data: bytes, *, limit: int = MAX_BYTES) -> Script:
    """Read and check a script; raises `NoScript`."""
    if len(data) > limit:
        raise NoScript(f"A script may have {limit} octets.", 1, 1)
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise NoScript("A script is written in UTF-8.", *place(data[: error.start].decode(), error.start)) from None
    if "\0" in text:
        raise NoScript("A script holds no NUL.", *place(text, text.index("\0")))
    try:
        return _Checker(text).script(syntax.parse(text))
    except Fault as fault:
        raise NoScript(fault.text, *place(text, fault.at)) from None


class _Checker:
    """Goes through the commands once, knowing what has been required."""

    __slots__ = ("_text", "extensions")

    def __init__(self, text: str) -> None:
        self._text = text
        self.extensions: set[str] = set()

    def script(self, nodes: Sequence[Node]) -> Script:
        rest = list(nodes)
        while rest and rest[0].name == "require":
            self._require(rest.pop(0))
        return Script(self._steps(rest), frozenset(self.extensions))

    def _require(self, node: Node) -> None:
        step = self._step(node, COMMANDS)
        for name in _strings(step.words[0]):
            if name not in EXTENSIONS:
                raise Fault(f"The extension {name!r} is not known here.", node.at)
            self.extensions.update({name, IMPLIED.get(name, name)})

    def _steps(self, nodes: Sequence[Node]) -> tuple[Step, ...]:
        found, before = [], ""
        for node in nodes:
            if node.name == "require":
                raise Fault("require stands before all other commands.", node.at)
            if node.name in ("elsif", "else") and before not in ("if", "elsif"):
                raise Fault(f"{node.name} stands behind if or elsif.", node.at)
            found.append(self._step(node, COMMANDS))
            before = node.name
        return tuple(found)

    def _step(self, node: Node, table: Mapping[str, Shape]) -> Step:
        shape = table.get(node.name)
        if shape is None:
            what = "test" if table is TESTS else "command"
            raise Fault(f"{node.name} is no {what}.", node.at)
        self._need(shape.needs, node.name, node.at)
        if bool(node.block is not None) != shape.block:
            raise Fault(f"{node.name} has {'a' if shape.block else 'no'} block of commands.", node.at)
        if (shape.tests >= 0 and len(node.tests) != shape.tests) or (shape.tests < 0 and not node.tests):
            raise Fault(f"{node.name} has {_NUMBER_OF_TESTS[shape.tests]}.", node.at)
        tags, words = self._arguments(node, shape)
        step = Step(
            node.name,
            words,
            tags,
            tuple([self._step(test, TESTS) for test in node.tests]),
            self._steps(node.block or ()),
            place(self._text, node.at)[0],
        )
        self._review(step, node.at)
        return step

    def _need(self, extension: str, name: str, at: int) -> None:
        if extension and extension not in self.extensions:
            raise Fault(f'{name} needs: require "{extension}";', at)

    def _arguments(self, node: Node, shape: Shape) -> tuple[dict[str, tuple[str, Value]], tuple[Value, ...]]:
        tags: dict[str, tuple[str, Value]] = {}
        words: list[Argument] = []
        rest = list(reversed(node.arguments))
        while rest:
            argument = rest.pop()
            if argument.kind == "tag":
                self._tag(node, shape, argument, rest, tags)
            else:
                words.append(argument)
        return tags, self._words(node, shape, words)

    def _tag(
        self, node: Node, shape: Shape, argument: Argument, rest: list[Argument], tags: dict[str, tuple[str, Value]]
    ) -> None:
        name = str(argument.value)
        tag = shape.tags.get(name)
        if tag is None:
            raise Fault(f"{node.name} has no tag :{name}.", argument.at)
        self._need(tag.needs, f":{name}", argument.at)
        if tag.group in tags:
            raise Fault(f":{name} stands beside :{tags[tag.group][0]}.", argument.at)
        if tag.kind and not rest:
            raise Fault(f":{name} needs a value.", argument.at)
        tags[tag.group] = (name, self._value(rest.pop(), tag.kind) if tag.kind else None)

    def _words(self, node: Node, shape: Shape, words: Sequence[Argument]) -> tuple[Value, ...]:
        kinds = shape.words
        least = len(kinds) if shape.least < 0 else shape.least
        if not least <= len(words) <= len(kinds):
            raise Fault(f"{node.name} takes {' and '.join(kinds) or 'nothing'} here.", words[-1].at if words else node.at)
        missing = len(kinds) - len(words)
        if shape.optional_first and missing:
            return (None, *(self._value(word, kind) for word, kind in zip(words, kinds[missing:], strict=True)))
        found = [self._value(word, kind) for word, kind in zip(words, kinds[: len(words)], strict=True)]
        return (*found, *([None] * missing))

    def _value(self, argument: Argument, kind: str) -> Value:
        if kind == "strings" and argument.kind in ("string", "strings"):
            return tuple([self._decoded(text, argument.at) for text in _strings(argument.value)])
        if argument.kind != kind:
            raise Fault(f"Here a {kind.rstrip('s')} has to stand.", argument.at)
        return self._decoded(str(argument.value), argument.at) if kind == "string" else argument.value

    def _decoded(self, text: str, at: int) -> str:
        """Resolve encoded characters, where they are required (RFC 5228 §2.4.2.4)."""
        if "encoded-character" not in self.extensions or "${" not in text:
            return text
        return _ENCODED.sub(lambda match: _characters(match, at), text)

    def fixed(self, text: str) -> bool:
        """Say whether a string will be the same when the script runs."""
        return "variables" not in self.extensions or "${" not in text

    # What the tables do not say

    def _review(self, step: Step, at: int) -> None:
        match, relation = step.tags.get("match", ("is", None))
        if match in ("count", "value") and str(relation).lower() not in RELATIONS:
            raise Fault(f":{match} takes one of {', '.join(RELATIONS)}.", at)
        comparator = step.value("comparator")
        if comparator is not None:
            if comparator not in COMPARATORS:
                raise Fault(f"The comparator {comparator!r} is not known here.", at)
            self._need(COMPARATORS[str(comparator)], "This comparator", at)
            if comparator == "i;ascii-numeric" and match in ("contains", "matches"):
                raise Fault(f"Numbers cannot be compared by :{match}.", at)
        review = _REVIEWS.get(step.name)
        if review is not None:
            review(self, step, at)
        if step.tag("last") and not step.tag("index") and step.name != "addheader":
            raise Fault(":last stands beside :index.", at)


def _strings(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def _characters(match: re.Match[str], at: int) -> str:
    numbers = [int(word, 16) for word in match[2].split() if len(word) <= 8]
    if match[1].lower() == "hex":
        if not all(number < 256 for number in numbers):
            return match[0]
        try:
            found = bytes(numbers).decode()
        except UnicodeDecodeError:
            raise Fault("Encoded octets are not UTF-8.", at) from None
    else:
        if not all(number < 0x110000 and not 0xD800 <= number < 0xE000 for number in numbers):
            raise Fault("There is no such character.", at)
        found = "".join(map(chr, numbers))
    if "\0" in found:
        raise Fault("A string holds a NUL.", at)
    return found


def _fields(checker: _Checker, step: Step, at: int) -> None:
    names = step.words[0]
    for name in _strings(names):
        if checker.fixed(name) and not _FIELD.match(name):
            raise Fault(f"{name[:80]!r} is no name of a header field.", at)


def _envelope(checker: _Checker, step: Step, at: int) -> None:
    for name in _strings(step.words[0]):
        if checker.fixed(name) and name.lower() not in ("from", "to"):
            raise Fault(f"The envelope has from and to, but no {name[:80]!r}.", at)


def _redirect(checker: _Checker, step: Step, at: int) -> None:
    _address(checker, str(step.words[0]), at)


def _address(checker: _Checker, text: str, at: int) -> None:
    if checker.fixed(text):
        try:
            addresses.parse(text)
        except errors.InvalidParameter as error:
            raise Fault(error.text, at) from None


def _set(checker: _Checker, step: Step, at: int) -> None:
    if not _NAME.match(str(step.words[0])):
        raise Fault(f"{str(step.words[0])[:80]!r} is no name of a variable.", at)


def _date(checker: _Checker, step: Step, at: int) -> None:
    part = str(step.words[-2])
    if checker.fixed(part) and part.lower() not in DATE_PARTS:
        raise Fault(f"A date has no part {part[:80]!r}.", at)
    zone = step.value("zone")
    if zone is not None and checker.fixed(str(zone)) and not re.match(r"[+-]\d{4}\Z", str(zone), re.ASCII):
        raise Fault("A zone is written as +0100.", at)
    if step.name == "date":
        _fields(checker, step, at)


def _size(checker: _Checker, step: Step, at: int) -> None:
    if not step.tag("limit"):
        raise Fault("size needs :over or :under.", at)


def _variable_flags(checker: _Checker, step: Step, at: int) -> None:
    if step.words[0] is not None:
        checker._need("variables", "Flags in a variable", at)
        for name in _strings(step.words[0]):
            if not _NAME.match(name):
                raise Fault(f"{name[:80]!r} is no name of a variable.", at)


_REVIEWS: Mapping[str, Callable[[_Checker, Step, int], None]] = {
    "header": _fields,
    "address": _fields,
    "exists": _fields,
    "addheader": _fields,
    "deleteheader": _fields,
    "envelope": _envelope,
    "redirect": _redirect,
    "set": _set,
    "date": _date,
    "currentdate": _date,
    "size": _size,
    "setflag": _variable_flags,
    "addflag": _variable_flags,
    "removeflag": _variable_flags,
    "hasflag": _variable_flags,
}
