"""Patterns with `*` and `?` and with policy variables, as IAM policies use them.

A pattern is compiled so that no part of a text is tried twice, whatever the pattern (`a*a*a*b` cannot blow up).  `${aws:username}`
stands for a value of the request, `${aws:username, 'x'}` for the same with a default; a variable without a value matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERAL = {"*": "*", "?": "?", "$": "$"}


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A compiled pattern, or a template to be filled for each request; neither: everything matches."""

    expression: re.Pattern[str] | None = None
    template: str | None = None
    literal: bool = False
    """In the template `*` and `?` mean themselves."""
    ignore_case: bool = False
    """Of the template."""

    @classmethod
    def of(cls, text: str, *, ignore_case: bool = False, variables: bool = False, literal: bool = False) -> Wildcard:
        """Compile a pattern; `variables` says that `${...}` is to be filled in."""
        if variables and "${" in text:
            return cls(template=text, literal=literal, ignore_case=ignore_case)
        if text == "*" and not literal:
            return cls()
        return cls(expression(text, ignore_case=ignore_case, literal=literal))

    def matches(self, value: str, context: Mapping[str, tuple[str, ...]]) -> bool:
        """Say whether a whole value fits."""
        if self.expression is not None:
            return self.expression.match(value) is not None
        if self.template is None:
            return True
        filled = _fill(self.template, self.literal, context)
        return filled is not None and re.match(filled, value, _flags(self.ignore_case)) is not None


@lru_cache(maxsize=4096)
def expression(text: str, *, ignore_case: bool = False, literal: bool = False) -> re.Pattern[str]:
    """Compile `*` and `?` to a regular expression that does not backtrack over a `*`."""
    return re.compile(_source(_pieces(text, literal)), _flags(ignore_case))


def _flags(ignore_case: bool) -> re.RegexFlag:
    return re.DOTALL | re.IGNORECASE if ignore_case else re.DOTALL


def _pieces(text: str, literal: bool) -> list[str]:
    """Write the stretches between the stars as regular expressions."""
    if literal:
        return [re.escape(text)]
    return ["".join("." if letter == "?" else re.escape(letter) for letter in stretch) for stretch in text.split("*")]


def _source(pieces: list[str]) -> str:
    first, *others = pieces
    if not others:
        return rf"{first}\Z"
    *middle, last = others
    return "".join([first, *(f"(?>.*?{piece})" for piece in middle if piece), rf".*{last}\Z"])


def _fill(template: str, literal: bool, context: Mapping[str, tuple[str, ...]]) -> str | None:
    """Put the request's values, taken literally, where the variables stand."""
    pieces = [""]
    position = 0
    for found in _VARIABLE.finditer(template):
        value = _value(found[1], context)
        if value is None:
            return None
        _append(pieces, _pieces(template[position : found.start()], literal))
        pieces[-1] += re.escape(value)
        position = found.end()
    _append(pieces, _pieces(template[position:], literal))
    return _source(pieces)


def _append(pieces: list[str], more: list[str]) -> None:
    pieces[-1] += more[0]
    pieces.extend(more[1:])


def _value(variable: str, context: Mapping[str, tuple[str, ...]]) -> str | None:
    name, _, default = variable.partition(",")
    if name in _LITERAL:
        return _LITERAL[name]
    values = context.get(name.strip().lower(), ())
    if len(values) == 1:
        return values[0]
    return default.strip().strip("'") if default else None
