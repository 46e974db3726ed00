"""The grammar of Sieve (RFC 5228 §8.2): what every script is made of, whatever its commands mean.

A script is a list of commands; a command has arguments, perhaps tests, and perhaps a block of commands. A test is the same without the
block. How deep they lie in each other and how many there are is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postroom.formats.sieve.lexer import Fault, Token, tokens

MAX_DEPTH = 15
"""Blocks or tests within each other."""
MAX_NODES = 5_000
"""Commands and tests of a script."""
MAX_LIST = 1_000
"""Strings of one list."""


class Argument(NamedTuple):
    """An argument and where it stands; `kind` is tag, number, string or strings."""

    kind: str
    value: str | int | tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Node:
    """A command or a test; a `block` that is None was not written."""

    name: str
    arguments: tuple[Argument, ...]
    tests: tuple["Node", ...]
    block: tuple["Node", ...] | None
    at: int


def parse(text: str) -> tuple[Node, ...]:
    """Read a script; raises `Fault`."""
    return _Parser(list(tokens(text))).script()


class _Parser:
    """Goes through the words once, looking one ahead."""

    __slots__ = ("_at", "_nodes", "_tokens")

    def __init__(self, words: Sequence[Token]) -> None:
        self._tokens = words
        self._at = 0
        self._nodes = 0

    def script(self) -> tuple[Node, ...]:
        found = self._commands(0)
        if self._next.kind:
            raise Fault(f"{self._next.value!r} cannot stand here.", self._next.at)
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _accept(self, kind: str) -> bool:
        if self._next.kind == kind:
            self._at += 1
            return True
        return False

    def _require(self, kind: str) -> None:
        if not self._accept(kind):
            found = f"{self._next.value!r}" if self._next.kind else "the end"
            raise Fault(f"Here {kind!r} is missing before {found}.", self._next.at)

    def _commands(self, depth: int) -> tuple[Node, ...]:
        found = []
        while self._next.kind == "word":
            found.append(self._command(depth))
        return tuple(found)

    def _command(self, depth: int) -> Node:
        name, arguments, tests = self._head(depth)
        block = None
        if self._accept("{"):
            self._enter(depth)
            block = self._commands(depth + 1)
            self._require("}")
        else:
            self._require(";")
        return Node(str(name.value), arguments, tests, block, name.at)

    def _test(self, depth: int) -> Node:
        if self._next.kind != "word":
            raise Fault("Here a test is missing.", self._next.at)
        name, arguments, tests = self._head(depth)
        return Node(str(name.value), arguments, tests, None, name.at)

    def _head(self, depth: int) -> tuple[Token, tuple[Argument, ...], tuple[Node, ...]]:
        self._nodes += 1
        name = self._take()
        if self._nodes > MAX_NODES:
            raise Fault(f"A script may have {MAX_NODES} commands and tests.", name.at)
        arguments = []
        while self._next.kind in ("tag", "number", "string", "["):
            arguments.append(self._argument())
        tests: tuple[Node, ...] = ()
        if self._accept("("):
            self._enter(depth)
            tests = self._list_of_tests(depth + 1)
        elif self._next.kind == "word":
            self._enter(depth)
            tests = (self._test(depth + 1),)
        return name, tuple(arguments), tests

    def _list_of_tests(self, depth: int) -> tuple[Node, ...]:
        found = [self._test(depth)]
        while self._accept(","):
            found.append(self._test(depth))
        self._require(")")
        return tuple(found)

    def _argument(self) -> Argument:
        token = self._take()
        if token.kind == "[":
            return Argument("strings", self._strings(), token.at)
        return Argument(token.kind, token.value, token.at)

    def _strings(self) -> tuple[str, ...]:
        found: list[str] = []
        while True:
            token = self._take()
            if token.kind != "string":
                raise Fault("A list holds strings alone.", token.at)
            found.append(str(token.value))
            if len(found) > MAX_LIST:
                raise Fault(f"A list may hold {MAX_LIST} strings.", token.at)
            if not self._accept(","):
                self._require("]")
                return tuple(found)

    def _enter(self, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise Fault(f"Blocks and tests may lie {MAX_DEPTH} deep in each other.", self._next.at)
