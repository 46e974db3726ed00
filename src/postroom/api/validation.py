"""Requests against the service models: a fast decoder that accepts, a slow walk that explains.

From each input shape a msgspec decoder is built once; it checks types, required members, lengths, ranges, patterns and enumerations
while it reads, and ignores members it does not know.  What it refuses is walked again by hand, only to say why in AWS's words, all
violations at once.  The walk has the last word: it also forgives what AWS forgives (null for an absent member, 5.0 for 5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Required, TypedDict

import msgspec

from postroom.api.errors import Refusal
from postroom.api.model import WORKMAIL, OperationModel, Shape, full_match, load

INTEGER_BITS = {"integer": 31, "long": 63}
MOST_PROBLEMS = 100
LONGEST_SHOWN = 1024
LONGEST_LIST = 1000
"""Entries of a list that are walked; a longer one without a bound of its own is accepted by the fast decoder or not at all."""
_ESCAPED_NUL = b"\\u0000"


def decode(operation: str, body: bytes, service: str = WORKMAIL) -> dict[str, Any]:
    """Decode a JSON body into the operation's parameters, or refuse it."""
    if _ESCAPED_NUL not in body:
        try:
            return decoder(operation, service)(body or b"{}")
        except (ValueError, RecursionError):
            pass
    return explain(load(service).operations[operation], body)


@cache
def decoder(operation: str, service: str = WORKMAIL) -> Callable[[bytes], dict[str, Any]]:
    """Build the fast decoder of an operation's input."""
    return msgspec.json.Decoder(_type(load(service).operations[operation].input)).decode


def explain(operation: OperationModel, body: bytes) -> dict[str, Any]:
    """Decode slowly; raises `Refusal` with every violated constraint, or with what cannot be read at all."""
    try:
        value = msgspec.json.decode(body or b"{}")
    except (ValueError, RecursionError):
        raise Refusal("SerializationException", "The request body is not a JSON document.") from None
    return checked(operation, value)


def checked(operation: OperationModel, value: Any) -> dict[str, Any]:
    """Check parameters that have been read already; raises `Refusal` with every violated constraint."""
    walk = _Walk()
    params: dict[str, Any] = walk.structure(operation.input, value, "")
    if walk.problems:
        count = len(walk.problems)
        raise Refusal("ValidationException", f"{count} validation error{'s' * (count > 1)} detected: {'; '.join(walk.problems)}")
    return params


def _type(shape: Shape) -> Any:
    """Build the msgspec type of a shape."""
    if shape.kind == "structure":
        members = {member.name: Required[_type(member.shape)] if member.required else _type(member.shape) for member in shape.members}
        return TypedDict(shape.name, members, total=False)  # type: ignore[operator]
    if shape.kind == "list":
        assert shape.member is not None
        return Annotated[list[_type(shape.member)], msgspec.Meta(**_lengths(shape))]  # type: ignore[misc]
    if shape.enum:
        return Literal[shape.enum]
    if shape.kind == "string":
        pattern = None if shape.pattern is None else full_match(shape.pattern)
        return Annotated[str, msgspec.Meta(pattern=pattern, **_lengths(shape))]
    if shape.kind in INTEGER_BITS:
        bound = 2 ** INTEGER_BITS[shape.kind]
        least = -bound if shape.least is None else int(shape.least)
        most = bound - 1 if shape.most is None else int(shape.most)
        return Annotated[int, msgspec.Meta(ge=least, le=most)]
    return {"boolean": bool, "double": float, "float": float, "timestamp": float}[shape.kind]


def _lengths(shape: Shape) -> dict[str, Any]:
    bounds = {"min_length": shape.least, "max_length": shape.most}
    return {name: int(bound) for name, bound in bounds.items() if bound is not None}


class _Walk:
    """Collects the violations of one request."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def structure(self, shape: Shape, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Refusal("SerializationException", "Expected map or null")
        kept: dict[str, Any] = {}
        for member in shape.members:
            given, at = value.get(member.name), f"{path}{member.name[0].lower()}{member.name[1:]}"
            if given is None:
                if member.required:
                    self.note("null", at, "Member must not be null")
            else:
                kept[member.name] = self.value(member.shape, given, at)
        return kept

    def value(self, shape: Shape, value: Any, path: str) -> Any:
        if shape.kind == "structure":
            return self.structure(shape, value, f"{path}.")
        if shape.kind == "list":
            return self.list(shape, value, path)
        read = _scalar(shape, value)
        for wish in _violations(shape, read):
            self.note(_shown(shape, read), path, wish)
        return read

    def list(self, shape: Shape, value: Any, path: str) -> Any:
        assert shape.member is not None
        if not isinstance(value, list):
            raise Refusal("SerializationException", "Expected list or null")
        for wish in _length_violations(shape, value):
            self.note(_shown(shape, value[:LONGEST_LIST]), path, wish)
        if shape.most is None and len(value) > LONGEST_LIST:
            self.note(_shown(shape, value[:LONGEST_LIST]), path, f"Member must have length less than or equal to {LONGEST_LIST}")
        if len(value) > (shape.most or LONGEST_LIST):
            return []
        if shape.member.kind == "structure":
            return [self.structure(shape.member, entry, f"{path}.{place}.member.") for place, entry in enumerate(value, 1)]
        entries = [None if entry is None else _scalar(shape.member, entry) for entry in value]
        wishes = {wish: None for entry in entries for wish in _violations(shape.member, entry)}
        if wishes:
            self.note(_shown(shape, entries), path, f"Member must satisfy constraint: [{', '.join(wishes)}]")
        return entries

    def note(self, shown: str, path: str, wish: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"Value{' ' if shown else ''}{shown} at '{path}' failed to satisfy constraint: {wish}")


def _scalar(shape: Shape, value: Any) -> Any:
    """Read a scalar as AWS does; raises SerializationException for another type."""
    if isinstance(value, dict):
        raise Refusal("SerializationException", "Start of structure or map found where not expected.")
    if isinstance(value, list):
        raise Refusal("SerializationException", "Start of list found where not expected")
    wanted = _PYTHON[shape.kind]
    if isinstance(value, wanted[0]) and isinstance(value, bool) == (shape.kind == "boolean"):
        if shape.kind not in INTEGER_BITS:
            return value
        number = int(value)
        if -(2 ** INTEGER_BITS[shape.kind]) <= number < 2 ** INTEGER_BITS[shape.kind]:
            return number
    given = {bool: "TRUE_VALUE" if value is True else "FALSE_VALUE", str: "STRING_VALUE"}.get(type(value), "NUMBER_VALUE")
    raise Refusal("SerializationException", f"{given} can not be converted to {wanted[1]}")


_PYTHON: Mapping[str, tuple[Any, str]] = {
    "string": (str, "a String"),
    "boolean": (bool, "a Boolean"),
    "integer": ((int, float), "an Integer"),
    "long": ((int, float), "a Long"),
    "double": ((int, float), "a Double"),
    "float": ((int, float), "a Float"),
    "timestamp": ((int, float), "a Timestamp"),
}


def _violations(shape: Shape, value: Any) -> list[str]:
    if value is None:
        return ["Member must not be null"]
    if isinstance(value, str):
        found = _length_violations(shape, value)
        if shape.enum and value not in shape.enum:
            found.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
        if "\0" in value:
            found.append(r"Member must satisfy regular expression pattern: [^\x00]*")
        elif shape.pattern is not None and not found and not _matcher(shape.pattern)(value):
            found.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
        return found
    return _bound_violations(shape, value, "value")


def _length_violations(shape: Shape, value: Any) -> list[str]:
    return _bound_violations(shape, len(value), "length")


def _bound_violations(shape: Shape, size: float, what: str) -> list[str]:
    found = []
    if shape.most is not None and size > shape.most:
        found.append(f"Member must have {what} less than or equal to {shape.most:g}")
    if shape.least is not None and size < shape.least:
        found.append(f"Member must have {what} greater than or equal to {shape.least:g}")
    return found


@cache
def _matcher(pattern: str) -> Callable[[str], Any]:
    return re.compile(full_match(pattern)).match


def _shown(shape: Shape, value: Any) -> str:
    """Show a value as AWS does in its messages; a secret one not at all."""
    if shape.sensitive or (shape.member is not None and shape.member.sensitive):
        return ""
    return f"'{_plain(value)[:LONGEST_SHOWN]}'"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}={_plain(entry)}' for name, entry in value.items())}}}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
